"""Command `compare`: AP2 and AP3 of any checkpoints, layer by layer, without data."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ap3.errors import InvalidValueError
from ap3.machine import terminal
from ap3.stages import endings, latent_options, several

if TYPE_CHECKING:
    from ap3.comparing.comparison import Comparison


def compare(
    baseline: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint of the network: safetensors, a file of torch.save, GGUF, ONNX, or a folder."
        ),
    ],
    pruned: Annotated[
        list[Path], typer.Argument(help="Checkpoint of its pruned version; several are compared.")
    ],
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layers to compare, such as fc or conv1,'layer4.*'; all if not given."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Column to sort by; numbers with the largest first.")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="So many layers only: the first by --sort, or by ap3_gaussian."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of rows as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page as well: one file, to be read offline.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Write a figure as well.")] = None,
    df: latent_options.Df = 4.0,
    groups: Annotated[
        int,
        typer.Option(min=0, help="Group means that locate the Student-t law; 0 takes all weights."),
    ] = 100,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law",
            help="A further latent law: nondiagonal (slow), or your own, package.module:function; "
            "several with commas.",
        ),
    ] = None,
) -> None:
    """Compare any network with its pruned versions: sparsity, AP2, AP3, and what was done.

    Layers are tensors of two or more dimensions; biases and norms are not compared. A dash stands
    for what has no value: what is relative to a layer of zeros, and the non-diagonal AP3 of layers
    above 33 million weights. A total is the sum over all layers. Remarks go to the standard error,
    and with --json or --csv so do the sentences on what was done.

    Example: ap3 compare baseline.safetensors pruned.safetensors
    """
    if as_json and as_csv:
        raise InvalidValueError("--json and --csv were both given; choose one.")
    endings.refuse_others("--html", html, ".html", ".htm")
    endings.refuse_others("--png", png, ".png")
    for path in pruned:
        if (as_json and path.suffix == ".json") or (as_csv and path.suffix == ".csv"):
            raise InvalidValueError(
                f"--json and --csv print, and take no file, but {path} was given; write > {path}."
            )
    from ap3.comparing import printing
    from ap3.comparing.cells import RANKED_BY
    from ap3.comparing.layer_table import compare as compare_weights

    versions = pruned if len(pruned) > 1 else pruned[0]
    layers = several.texts(layer) or ["*"]
    table = compare_weights(baseline, versions, layers, df, groups or None, several.texts(law))
    remarks = table.remarks
    if html or png:
        _write(table, f"{baseline} and {', '.join(map(str, pruned))}", html, png)
    if sort or top:
        count = len(table)
        table = table.ranked(sort or RANKED_BY, top)
        if len(table) < count:
            remarks.append(f"{len(table):,} of {count:,} rows are shown; totals are of all.")
    terminal.rest()
    where = sys.stderr if as_json or as_csv else sys.stdout
    for sentence in table.sentences:
        print(sentence, file=where, flush=True)
    if as_json:
        print(printing.as_json(table))
    elif as_csv:
        print(printing.as_csv(table), end="")
    else:
        printing.show(table)
    for remark in remarks:
        print(remark, file=sys.stderr)


def _write(table: "Comparison", title: str, html: Path | None, png: Path | None) -> None:
    """Write the page and the figure."""
    from ap3.files.storage import write_atomically

    if html:
        from ap3.comparing.page import page

        text = page(table._repr_html_(), title)
        write_atomically(html, lambda path: path.write_text(text, encoding="utf-8"))
    if png:
        from ap3.figures.drawing import save_png
        from ap3.figures.layer_bars import layer_bars

        save_png(layer_bars(table, title), png)
