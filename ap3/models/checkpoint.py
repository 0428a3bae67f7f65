"""A trained network on disk: its weights as safetensors, what it is as metadata."""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ap3.config.user_code import is_own
from ap3.datasets.images import Images
from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import content, storage
from ap3.models.names import NO_WEIGHTS
from ap3.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, View
from ap3.models.registry import build

_Shapes = dict[str, tuple[int, ...]]


_LARGEST_SIZE = 4096  # pixels, as in the configuration


@dataclass(frozen=True)
class Identity:
    """What a checkpoint is of: enough to build the network again and to feed it."""

    dataset: str
    model: str
    classes: int
    image_size: int
    trial: int
    seed: int
    head: str
    weights: str = NO_WEIGHTS
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def view(self) -> View:
        """How this network looks at images."""
        return View(self.image_size, self.mean, self.std)


@dataclass(frozen=True)
class Checkpoint:
    """A network, and what it is."""

    model: nn.Module
    identity: Identity

    def save(self, path: Path, **details: Any) -> None:
        """Write the network's state; `details` go into the metadata beside its identity."""
        state = {
            name: tensor.detach().cpu().numpy() for name, tensor in self.model.state_dict().items()
        }
        versions = {"torch": torch.__version__, "torchvision": version("torchvision")}
        storage.save(path, state, identity=asdict(self.identity), versions=versions, **details)

    def check_data(self, data: Images) -> None:
        """Refuse another data set than the one that the network was trained on.

        Raises
        ------
        UserError
            If name or number of classes differ.
        """
        trained, given = self.identity, len(data.classes)
        if (data.name, given) != (trained.dataset, trained.classes):
            raise InvalidValueError(
                f"{trained.model} was trained on {trained.dataset} ({trained.classes} classes), but "
                f"the data is {data.name} ({given} classes); give the data set of the checkpoint."
            )

    @classmethod
    def load(
        cls,
        path: Path,
        device: torch.device,
        own_model: str | None = None,
        channels_last: bool = False,
    ) -> Self:
        """Build the network that `path` names and give it the weights that `path` holds.

        A file never chooses code to run: where it names a network of the user's own, the user has
        to have named the same as `own_model`. `channels_last` lays the weights out in that order.

        Raises
        ------
        UserError
            If the file is none of ours, is damaged, holds another network's tensors, or names code
            that the user did not.
        """
        arrays, metadata = storage.load(path)
        identity = read_identity(path, metadata)
        if is_own(identity.model) and identity.model != own_model:
            raise InvalidValueError(
                f"{path} names the code {identity.model} as its network, which a file alone does "
                f"not get run; if you trust it, add --model {identity.model}."
            )
        with storage.holding(path, "weights of its last layer"):
            if len(content.array(arrays, f"{identity.head}.weight")) != identity.classes:
                raise content.ContentError(f"they are not of {identity.classes} classes")
        model = build(identity.model, identity.classes, identity.image_size)
        load_state(model, {name: torch.from_numpy(array) for name, array in arrays.items()}, path)
        model.to(device)
        if channels_last:
            model.to(memory_format=torch.channels_last)
        return cls(model, identity)


def read_identity(path: Path, metadata: dict[str, Any]) -> Identity:
    """Take the identity out of a checkpoint's metadata."""
    try:
        identity = content.record(metadata, "identity", Identity)
        if not 0 < identity.image_size <= _LARGEST_SIZE:
            raise content.ContentError(f"images of {identity.image_size} pixels")
        return identity
    except content.ContentError as error:
        raise InvalidFileError(
            f"{path} is no checkpoint of ap3 (its metadata names no network); give a file made by "
            "ap3 baseline."
        ) from error


def load_state(model: nn.Module, state: dict[str, Tensor], source: object) -> None:
    """Give `model` the tensors of `state`, or name the ones that do not fit.

    `source` is where they come from, for the message.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if expected != found:
        raise InvalidFileError(
            f"{source} holds the weights of another network than {type(model).__name__}: "
            f"{_differences(expected, found)}."
        )
    model.load_state_dict(state)


def _differences(expected: _Shapes, found: _Shapes, most: int = 3) -> str:
    """Say which tensors differ, the first few of each kind by name."""
    missing = sorted(expected.keys() - found.keys())
    surplus = sorted(found.keys() - expected.keys())
    reshaped = [
        f"{name} ({found[name]} in place of {expected[name]})"
        for name in expected.keys() & found.keys()
        if expected[name] != found[name]
    ]
    parts = [
        ("missing", missing),
        ("not expected", surplus),
        ("of another shape", sorted(reshaped)),
    ]
    return "; ".join(
        f"{len(names)} {what}: {', '.join(names[:most])}{', …' if len(names) > most else ''}"
        for what, names in parts
        if names
    )
