"""A network and data by what is typed on the command line."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ap3.config import user_code
from ap3.datasets import get
from ap3.datasets.image_files import labelled_files, read_square
from ap3.datasets.images import Images
from ap3.diagnosing.own_code import OwnBatches, SizedBatches, called, place_of
from ap3.diagnosing.pruned_state import load
from ap3.errors import InvalidTypeError, InvalidValueError, UserError
from ap3.models.preprocessing import resize
from ap3.models.registry import build


@dataclass(frozen=True)
class Look:
    """How a network looks at images.

    Attributes
    ----------
    size
        Height and width in pixels; the images' own if None.
    mean, std
        Of a channel, on the scale 0 to 1; one number for all channels, or one for each.
    channels
        That the network takes: 1 or 3.
    batch_size
        Examples in a batch.
    """

    size: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int = 3
    batch_size: int = 256

    def pixels(self, images: Tensor) -> Tensor:
        """Bring uint8 images (N, 1 or 3, H, W) to what the network sees, float32."""
        size = self.size or int(images.shape[-1])
        pixels = resize(images, size) / 255
        if pixels.shape[1] == 3 and self.channels == 1:
            pixels = pixels.mean(1, keepdim=True)
        pixels = pixels.expand(-1, self.channels, -1, -1)
        mean, std = (torch.tensor(part)[:, None, None] for part in (self.mean, self.std))
        if self.channels == 1:
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        return (pixels - mean) / std


def network_called(name: str, checkpoint: str | Path | None, classes: int, size: int) -> nn.Module:
    """Build a network and give it the weights of a checkpoint.

    Parameters
    ----------
    name
        Of our networks, torchvision's or timm's (`timm:NAME`), or `package.module:function`, which
        takes nothing, or the number of classes and the image size.
    checkpoint
        Its weights; those that the function gave if None.
    classes, size
        For networks that are built by name.

    Raises
    ------
    UserError
        If there is no such network, or the checkpoint is of another.
    """
    if user_code.is_own(name):
        function = resolve_name_of(name, "network")
        takes = len(inspect.signature(function).parameters)
        network = called(name, function, *(classes, size)[: 0 if takes == 0 else 2])
        if not isinstance(network, nn.Module):
            raise InvalidTypeError(
                f"{name} ({place_of(function)}) returned {type(network).__name__}, but must return a "
                "torch.nn.Module."
            )
    else:
        network = build(name, classes, size)
    if checkpoint is not None:
        load(network, checkpoint)
    return network


def resolve_name_of(name: str, what: str) -> Any:
    """Import a user's function.

    Parameters
    ----------
    name
        `package.module:function`.
    what
        It makes, in words.

    Raises
    ------
    UserError
        If it cannot be imported.
    """
    known, why = user_code.is_importable(name)
    if not known:
        raise InvalidValueError(f"the {what} {name!r} cannot be imported: {why}")
    return called(name, resolve_name, name)


def channels_of(network: nn.Module) -> int:
    """Return how many channels the first convolution takes; 3 where there is none.

    Examples
    --------
    >>> channels_of(nn.Sequential(nn.Conv2d(1, 8, 3))), channels_of(nn.Linear(1, 1))
    (1, 3)
    """
    first = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    return first.in_channels if first is not None else 3


class ImageFolder:
    """Images in a folder for each class, as torchvision's `ImageFolder` lays them out.

    Every image is scaled so that its short side has the size of the network's input, and its middle
    is cut out. Read anew every time they are gone through, a batch at a time.

    Parameters
    ----------
    path
        Of the folder; its subfolders are the classes, in the order of their names.
    look
        How the network looks at them.
    examples
        Drawn once, from all classes alike; all if None.

    Raises
    ------
    UserError
        If there is no such folder, or no image in it.
    """

    def __init__(self, path: Path, look: Look, examples: int | None = None) -> None:
        self.path, self.look = path, look
        self.classes, self.files = labelled_files(path)
        if examples is not None and examples < len(self.files):
            drawn = np.random.default_rng(0).choice(len(self.files), examples, replace=False)
            self.files = [self.files[place] for place in sorted(drawn)]

    def __len__(self) -> int:
        return ceil(len(self.files) / self.look.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        step = self.look.batch_size
        for first in range(0, len(self.files), step):
            some = self.files[first : first + step]
            pixels = torch.cat([self._pixels(file) for file, _ in some])
            yield pixels, torch.tensor([label for _, label in some])

    def _pixels(self, file: Path) -> Tensor:
        return self.look.pixels(torch.from_numpy(read_square(file, self.look.size))[None])


class _Decoded:
    """A split of one of our data sets, in batches."""

    def __init__(self, images: Any, labels: Any, look: Look) -> None:
        self.images, self.labels, self.look = images, labels, look

    def __len__(self) -> int:
        return ceil(len(self.labels) / self.look.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        step = self.look.batch_size
        for first in range(0, len(self.labels), step):
            rows = slice(first, first + step)
            pixels = self.look.pixels(torch.from_numpy(np.ascontiguousarray(self.images[rows])))
            yield pixels, torch.from_numpy(np.ascontiguousarray(self.labels[rows]))


class Data:
    """Data by name, before the network that sees it is known.

    Parameters
    ----------
    name
        `folder:PATH`, one of our data sets, a file of `ap3 data`, or `package.module:function`,
        which takes nothing and returns batches.
    raw
        Folder of the raw files of one of our data sets.
    split
        `test` or `train`, of one of our data sets.

    Raises
    ------
    UserError
        If there are no such data.
    """

    def __init__(self, name: str, raw: Path | None = None, split: str = "test") -> None:
        if split not in ("test", "train"):
            raise InvalidValueError(f"the split is {split!r}, but must be test or train.")
        self.name, self.split = name, split
        self.images: Images | None = None
        self.function: Any = None
        if user_code.is_folder(name):
            return
        if name.endswith(".safetensors"):
            self.images = Images.load(Path(name))
        elif user_code.is_own(name):
            self.function = resolve_name_of(name, "data")
        else:
            self.images = get(name).decode(raw)

    @property
    def classes(self) -> int | None:
        """How many classes there are, where that is known beforehand."""
        if self.images is not None:
            return len(self.images.classes)
        if user_code.is_folder(self.name):
            return len(ImageFolder(self.folder, _ANY).classes)
        return None

    @property
    def folder(self) -> Path:
        """The folder in `folder:PATH`."""
        return user_code.folder_of(self.name)

    def batches(self, look: Look, examples: int | None = None) -> Iterable[Any]:
        """Return the batches, which may be gone through again where the user's may.

        Parameters
        ----------
        look
            How the network looks at images; a user's own batches are as they are.
        examples
            How many of them, drawn once; all if None.
        """
        if user_code.is_folder(self.name):
            return ImageFolder(self.folder, look, examples)
        if self.images is not None:
            images, labels = self.images.splits[self.split]
            if examples is not None and examples < len(labels):
                drawn = np.random.default_rng(0).choice(len(labels), examples, replace=False)
                images, labels = images[np.sort(drawn)], labels[np.sort(drawn)]
            return _Decoded(images, labels, look)
        found = called(self.name, self.function)
        where = place_of(self.function)
        if isinstance(found, Images):
            images, labels = found.splits[self.split]
            return _Decoded(images, labels, look)
        if not hasattr(found, "__iter__"):
            raise InvalidTypeError(
                f"{self.name} ({where}) returned {type(found).__name__}, but must return an iterable "
                "of (input, label) batches."
            )
        kind = SizedBatches if hasattr(found, "__len__") else OwnBatches
        if iter(found) is found:  # a generator function: asked again, it begins again
            return _Again(self.name, self.function, where)
        return kind(self.name, found, where)

    def blamed(self, error: UserError) -> UserError:
        """Begin a sentence on a user's own batches with the file and line of their function.

        Parameters
        ----------
        error
            What is wrong with them.
        """
        if self.function is None or str(error).startswith(self.name):
            return error
        return type(error)(f"{self.name} ({place_of(self.function)}): {error}")


class _Again(OwnBatches):
    """Batches of a function that gives them once for each call."""

    def __init__(self, name: str, function: Any, where: str) -> None:
        super().__init__(name, (), where)
        self.function = function

    def __iter__(self) -> Iterator[Any]:
        self.batches = called(self.name, self.function)
        yield from super().__iter__()


_ANY = Look(None, (0.5,), (0.5,))
