"""What the last layer sees: the outputs of the frozen trunk, once for all pruned variants.

They are written while they are computed and, of the augmented views, one is read at a time, so
that the disk bounds their number and not the memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ap3 import storage, streams
from ap3.evaluation import outputs_of
from ap3.models.head import linear, without_head
from ap3.seeds import derive
from ap3.views import View

if TYPE_CHECKING:  # reading features needs no torchvision, which takes seconds to import
    from ap3.checkpoints import Checkpoint
    from ap3.datasets.images import Images

DTYPES = ("float32", "float16")

_AS_THEY_ARE = ("train", "train_labels", "test", "test_labels")


class Views(Protocol):
    """Features of several views of the training images; indexing gives those of one, (N, d)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Features:
    """Inputs of the last layer, on the CPU.

    Attributes
    ----------
    train, test
        Of the images as they are, (N, d), float32.
    train_labels, test_labels
        (N,).
    views
        Of each augmented view of the training images, (N, d), read from the disk when it is asked
        for. Without augmentation there is one, which is `train`.
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    views: Views

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        UserError
            If the file is missing, damaged, or holds something else.
        """
        arrays, metadata = storage.load(path, only=_AS_THEY_ARE)
        streams.verify(path)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        stored = metadata["views"]
        views: Views = StoredViews(path, stored) if stored else tensors["train"][None]
        return cls(**tensors, views=views)


class StoredViews:
    """The augmented views in a file of features; each is read when it is asked for."""

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.number = path, number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(streams.row(self.path, "views", index))


def write(
    path: Path,
    checkpoint: "Checkpoint",
    data: "Images",
    views: int,
    augmentation: str,
    device: torch.device,
    dtype: str = "float32",
) -> None:
    """Run the frozen trunk of `checkpoint` over both splits and every view, into the file `path`.

    Parameters
    ----------
    views, augmentation
        How many augmented views of the training images to take, and of which kind. With the
        augmentation `none` they would equal the images as they are, and none is written.
    dtype
        One of `DTYPES`, of the augmented views. Half the bytes leave three digits of seven.
    """
    identity = checkpoint.identity
    width = linear(checkpoint.model, identity.head).in_features
    stored = 0 if augmentation == "none" else views
    train, test = len(data.train_images), len(data.test_images)
    forms: dict[str, streams.Form] = {
        "train": ((train, width), "float32"),
        "train_labels": ((train,), "int64"),
        "test": ((test, width), "float32"),
        "test_labels": ((test,), "int64"),
    }
    if stored:
        forms["views"] = ((stored, train, width), dtype)
    names = (data.name, identity.model, identity.trial, "views")
    generator = torch.Generator().manual_seed(derive(identity.seed, *names))
    with without_head(checkpoint.model, identity.head) as trunk:
        blocks = _blocks(trunk, data, identity.view, stored, augmentation, generator, device)
        streams.save(path, forms, blocks, views=stored)


def _blocks(
    trunk: nn.Module,
    data: "Images",
    view: View,
    stored: int,
    augmentation: str,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Compute the file of features piece by piece, each with its name."""
    yield "train_labels", data.train_labels
    yield "test_labels", data.test_labels
    images = {
        "train": torch.from_numpy(data.train_images),
        "test": torch.from_numpy(data.test_images),
    }
    augmented = partial(view.augmented, how=augmentation, generator=generator)
    passes = [("train", "train", view.still), ("test", "test", view.still)]
    passes += [("views", "train", augmented)] * stored
    for name, split, look in passes:
        for outputs in outputs_of(trunk, images[split], look, device):
            yield name, outputs.flatten(1).cpu().numpy()
