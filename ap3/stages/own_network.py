"""Options of the commands that run a network of the user's own over data, and what they name."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ap3.errors import InvalidValueError, UserError
from ap3.stages import several

if TYPE_CHECKING:
    from torch import nn

    from ap3.diagnosing.result import Result

Network = Annotated[
    str,
    typer.Argument(
        help="Network: package.module:function, a name of torchvision, timm:NAME, or one of ours."
    ),
]
Checkpoint = Annotated[str, typer.Argument(help="Its weights: a file or folder; - for none.")]
Data = Annotated[
    str,
    typer.Option(
        help="folder:PATH (a folder for each class), one of our data sets, a file of `ap3 data`, or "
        "package.module:function, which returns (input, label) batches."
    ),
]
Ratio = Annotated[
    list[str] | None,
    typer.Option(help="Shares of a layer to prune, above 0; 0.3,0.5,0.7,0.9,0.98 if not given."),
]
Raw = Annotated[Path | None, typer.Option(help="Folder of the raw files of one of our data sets.")]
Split = Annotated[str, typer.Option(help="Of one of our data sets: test or train.")]
Examples = Annotated[
    int | None, typer.Option(min=2, help="How many examples, drawn once; all if not given.")
]
Classes = Annotated[
    int | None, typer.Option(min=2, help="Outputs of a network by name; those of the data.")
]
ImageSize = Annotated[int | None, typer.Option(min=1, help="Input size in pixels.")]
Mean = Annotated[
    list[str] | None, typer.Option(help="Mean of all channels, or of each: 0.5 or 0.5,0.4,0.4.")
]
Std = Annotated[
    list[str] | None, typer.Option(help="Standard deviation of all channels, or of each.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples in a batch, for images by name.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's own if not given.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, or one card: cuda:0.")]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="Layers, such as fc or conv1,'layer4.*'; all if not given."),
]
Csv = Annotated[Path | None, typer.Option(help="Where the table goes, as CSV.")]
Html = Annotated[Path | None, typer.Option(help="Where a page goes that needs no network.")]

_OF_BATCHES = ("ap3.networks.batches", "ap3.networks.logits")
"""Modules that find fault with batches; what others find is no fault of the user's data."""


def ratios_of(given: list[str] | None) -> list[float]:
    """Read the numbers of `Ratio`; those that a scan takes by itself where there are none."""
    from ap3.diagnosing.scan import RATIOS

    return several.numbers(given, "--ratio") or [*RATIOS]


@contextmanager
def opened(
    network: str,
    checkpoint: str,
    data: str,
    raw: Path | None,
    split: str,
    examples: int | None,
    classes: int | None,
    image_size: int | None,
    mean: list[str] | None,
    std: list[str] | None,
    batch_size: int,
    threads: int | None,
    device: str,
) -> Iterator[tuple["nn.Module", Iterable[Any]]]:
    """Give the network and its batches; a mistake in a user's own data names their file and line."""
    import torch

    from ap3.diagnosing.sources import Data as Named
    from ap3.diagnosing.sources import Look, channels_of, network_called
    from ap3.machine.device import chosen
    from ap3.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD

    if threads:
        torch.set_num_threads(threads)
    named = Named(data, raw, split)
    size = image_size or 224
    if image_size is None and named.images is not None:
        size = int(named.images.test_images.shape[-1])
    model = network_called(
        network, None if checkpoint == "-" else checkpoint, classes or named.classes or 1000, size
    )
    try:
        model.to(chosen(device))
    except (RuntimeError, AssertionError) as error:
        why = " ".join(str(error).split("\n")[0].split())
        raise InvalidValueError(f"device is {device!r}, which torch refuses: {why}.") from error
    means, deviations = (
        _channels(mean, "--mean", IMAGENET_MEAN),
        _channels(std, "--std", IMAGENET_STD),
    )
    look = Look(size, means, deviations, channels_of(model), batch_size)
    try:
        yield model, named.batches(look, examples)
    except UserError as error:
        if _origin(error) in _OF_BATCHES:
            raise named.blamed(error) from error
        raise


def _origin(error: UserError) -> str:
    """Name the module that raised it."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"])


def _channels(given: list[str] | None, option: str, usual: tuple[float, ...]) -> tuple[float, ...]:
    found = several.numbers(given, option)
    if len(found) not in (0, 1, 3):
        raise InvalidValueError(
            f"{option} takes one number, or one for each of 3 channels, but was given {len(found)}."
        )
    return tuple(found) * (3 if len(found) == 1 else 1) or usual


def show(result: "Result", csv: Path | None, html: Path | None) -> None:
    """Print a result, and write what was asked for."""
    print(result, flush=True)
    if csv:
        result.to_csv(csv)
    if html:
        from ap3.diagnosing.page import write

        write(result, html)
