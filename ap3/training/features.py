"""What the last layer sees: the outputs of the frozen trunk, once for all pruned variants.

They are written while they are computed and, of the augmented views, one is read at a time, so
that the disk bounds their number and not the memory.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ap3.config.seeds import derive
from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import content, storage, streams
from ap3.machine.progress import counted
from ap3.models.head import linear, without_head
from ap3.training.evaluation import outputs_of
from ap3.training.splits import Split, fingerprint, read_splits

if TYPE_CHECKING:  # reading features needs no torchvision, which takes seconds to import
    from ap3.datasets.images import Images
    from ap3.models.checkpoint import Checkpoint

DTYPES = ("float32", "float16")


class Views(Protocol):
    """Features of several views of the training images; indexing gives those of one, (N, d)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Features:
    """Inputs of the last layer.

    Attributes
    ----------
    splits
        Of the images as they are, float32, with their labels, by the name of the split.
    views
        Of each augmented view of the training images, (N, d), on the CPU, read from the disk when
        it is asked for. Without augmentation there is one: the training split as it is.
    """

    splits: Mapping[str, Split]
    views: Views

    @classmethod
    def load(cls, path: Path, views: Path | None = None) -> Self:
        """Read what `write` wrote to `path` and `write_views` to `views`.

        Raises
        ------
        UserError
            If a file is missing, damaged, or holds something else.
        """
        found = read_splits(path)
        still = torch.from_numpy(found["train"].features)[None]
        return cls(found, StoredViews(views) if views else still)


class StoredViews:
    """The augmented views in a file that `write_views` wrote; each is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _, metadata = streams.load(path, only=())
        if "views" not in metadata:
            raise InvalidFileError(
                f"{path} holds no augmented views; give a file made by ap3 views."
            )
        with storage.holding(path, "augmented views"):
            self.number = content.entry(metadata, "views", int)
            if self.number < 0:
                raise content.ContentError(f"{self.number} of them")

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(streams.row(self.path, "views", index))


def write(path: Path, checkpoint: "Checkpoint", data: "Images", device: torch.device) -> None:
    """Run the frozen trunk of `checkpoint` over both splits as they are, into the file `path`.

    Raises
    ------
    UserError
        If the network was trained on another data set.
    """
    checkpoint.check_data(data)
    layer = linear(checkpoint.model, checkpoint.identity.head)
    width, head = layer.in_features, fingerprint(layer.weight.detach().cpu().numpy())
    view = checkpoint.identity.view
    forms: dict[str, streams.Form] = {}
    for split, (images, labels) in data.splits.items():
        forms[split] = ((len(images), width), "float32")
        forms[f"{split}_labels"] = (labels.shape, "int64")

    def blocks() -> Iterator[tuple[str, NDArray[Any]]]:
        for split, (images, labels) in data.splits.items():
            yield f"{split}_labels", labels
            for seen in _seen(checkpoint, images, view.still, device):
                yield split, seen

    streams.save(path, forms, blocks(), head=head)


def write_views(
    path: Path,
    checkpoint: "Checkpoint",
    data: "Images",
    views: int,
    augmentation: str,
    device: torch.device,
    dtype: str = "float32",
) -> None:
    """Run the frozen trunk over random views of the training images, into the file `path`.

    Parameters
    ----------
    views, augmentation
        How many views to take, and of which kind (one of `ap3.models.preprocessing.AUGMENTATIONS`).
    dtype
        One of `DTYPES`, to store them in. Half the bytes leave three digits of seven.

    Raises
    ------
    UserError
        If `dtype` is unknown, or the network was trained on another data set.
    """
    checkpoint.check_data(data)
    if dtype not in DTYPES:
        raise InvalidValueError(
            f"views can be stored as {' or '.join(DTYPES)}, but not as {dtype!r}."
        )
    identity = checkpoint.identity
    names = (data.name, identity.model, identity.trial, "views")
    generator = torch.Generator().manual_seed(derive(identity.seed, *names))
    look = partial(identity.view.augmented, how=augmentation, generator=generator)
    width = linear(checkpoint.model, identity.head).in_features
    blocks = (
        ("views", seen)
        for _ in counted(range(views), "views")
        for seen in _seen(checkpoint, data.train_images, look, device)
    )
    form = ((views, len(data.train_images), width), dtype)
    streams.save(path, {"views": form}, blocks, views=views)


def _seen(
    checkpoint: "Checkpoint",
    images: NDArray[np.uint8],
    look: Callable[[Tensor], Tensor],
    device: torch.device,
) -> Iterator[NDArray[np.float32]]:
    """Yield what the last layer sees, (n, d), a batch of images at a time."""
    with without_head(checkpoint.model, checkpoint.identity.head) as trunk:
        for outputs in outputs_of(trunk, torch.from_numpy(images), look, device, "images"):
            yield outputs.flatten(1).cpu().numpy()
