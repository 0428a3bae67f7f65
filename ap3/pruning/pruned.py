"""What is pruned of a network: any set of its layers, each variant with its masks.

`ap3 prune` makes it, `ap3 finetune` gives it back with the state of every epoch, and `ap3 measure`
reads it. One file holds all variants of a baseline; one variant is read at a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ap3.config.seeds import derive
from ap3.config.variants import CONTROL, Variant
from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import content, storage, streams
from ap3.latent.vectors import FloatArray


@dataclass(frozen=True)
class Origin:
    """Which baseline something was pruned from."""

    dataset: str
    model: str
    trial: int
    seed: int

    def __post_init__(self) -> None:
        if not f"{self} {self.seed}".isprintable():
            raise InvalidValueError("its origin has names that cannot be printed")

    def __str__(self) -> str:
        return f"{self.dataset} {self.model} trial {self.trial}"

    def seed_of(self, *purpose: object) -> int:
        """Derive the seed of a draw that is made once for this baseline."""
        return derive(self.seed, self.dataset, self.model, self.trial, *purpose)


@dataclass(frozen=True, eq=False)
class PrunedLayer:
    """One layer of one variant.

    Attributes
    ----------
    mask : bool array of the layer's shape S
        True where a weight is kept.
    weight : array of shape S, or (E, *S) with the epochs of fine-tuning, 0 first
    bias : array of shape (C,), or (E, C); None where the layer has none
    """

    mask: NDArray[np.bool_]
    weight: FloatArray
    bias: FloatArray | None = None

    @classmethod
    def whole(cls, weight: FloatArray, bias: FloatArray | None = None) -> Self:
        """Take a layer of which every weight is kept."""
        return cls(np.ones(weight.shape, bool), weight, bias)

    @property
    def shift(self) -> FloatArray:
        """The bias; zeros where the layer has none."""
        if self.bias is not None:
            return self.bias
        epochs = self.weight.shape[: self.weight.ndim - self.mask.ndim]
        return np.zeros((*epochs, len(self.mask)), self.weight.dtype)


@dataclass(frozen=True, eq=False)
class PrunedNetwork:
    """One variant of a baseline: the layers that were pruned in it, by name."""

    origin: Origin
    variant: Variant
    layers: Mapping[str, PrunedLayer]

    @property
    def about(self) -> dict[str, Any]:
        """Name the baseline and the variant: the first columns of every table of variants."""
        origin, variant = self.origin, self.variant
        return {
            "dataset": origin.dataset,
            "model": origin.model,
            "trial": origin.trial,
            "mode": variant.mode,
            "ratio": variant.ratio,
        }

    @property
    def only_layer(self) -> str:
        """The name of the one layer, where one alone was pruned."""
        if len(self.layers) != 1:
            raise InvalidValueError(
                f"one pruned layer is expected, but {self.origin} {self.variant} has "
                f"{len(self.layers)}; fine-tune the whole network."
            )
        return next(iter(self.layers))

    def check_epochs(self, logged: Iterable[int]) -> None:
        """Refuse the log of another fine-tuning: one of other epochs than those of the states.

        Raises
        ------
        UserError
            If the epochs in the log are not 0, 1, … in their order, one for each state; or, of two
            states, 0 and a later one.
        """
        found, last = list(logged), len(next(iter(self.layers.values())).weight) - 1
        only_ends = last == 1 and len(found) == 2 and found[0] == 0 < found[1]
        if found != list(range(last + 1)) and not only_ends:
            raise InvalidValueError(
                f"the log of {self.variant} must have a row for each epoch of its layers, 0 to "
                f"{last}, but has {len(found)} rows of other epochs; fine-tune again."
            )


def read_unpruned(path: Path, layers: Sequence[str] | None = None) -> PrunedNetwork:
    """Take layers, nothing pruned, out of a checkpoint that `ap3 baseline` wrote.

    Parameters
    ----------
    layers
        Their names; the last layer alone if None.

    Raises
    ------
    UserError
        If the file is missing, damaged, no checkpoint, or has no such layer.
    """
    arrays, metadata = storage.load(path)
    try:
        identity = content.entry(metadata, "identity", dict)
        origin = Origin(
            content.entry(identity, "dataset", str),
            content.entry(identity, "model", str),
            content.entry(identity, "trial", int),
            content.entry(identity, "seed", int),
        )
        names = [content.entry(identity, "head", str)] if layers is None else list(layers)
    except (content.ContentError, InvalidValueError) as error:
        raise InvalidFileError(
            f"{path} is no checkpoint of ap3 (its metadata does not name a baseline: {error}); "
            "give a file made by ap3 baseline."
        ) from error
    with storage.holding(path, f"weights of {'its last layer' if layers is None else 'a layer'}"):
        found = {}
        for name in names:
            weight, bias = content.array(arrays, f"{name}.weight"), arrays.get(f"{name}.bias")
            found[name] = layer = PrunedLayer.whole(weight, bias)
            if weight.ndim < 2 or layer.shift.shape != weight.shape[:1]:
                raise content.ContentError(
                    f"{name} has the shapes {weight.shape} and {layer.shift.shape}"
                )
    return PrunedNetwork(origin, Variant(CONTROL, 0.0), found)


def save(path: Path, networks: Sequence[PrunedNetwork]) -> None:
    """Write the variants of one baseline to the safetensors file `path`.

    Of each layer the mask is kept in a bit for each weight (`numpy.packbits`), and of the weights
    those that are not pruned, (kept,) or (epochs, kept), in their order.

    Raises
    ------
    ValueError
        If a pruned weight is not zero, or the variants are of several baselines.
    """
    (origin,) = {network.origin for network in networks}
    forms: dict[str, streams.Form] = {}
    for name, array in _arrays(networks):
        forms[name] = (array.shape, array.dtype)
    streams.save(
        path,
        forms,
        _arrays(networks),
        origin=asdict(origin),
        variants=[str(network.variant) for network in networks],
        shapes={name: list(layer.mask.shape) for name, layer in networks[0].layers.items()},
    )


def _arrays(networks: Sequence[PrunedNetwork]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give what a file holds, one array at a time: `variant's number.part.layer`."""
    for number, network in enumerate(networks):
        for name, layer in network.layers.items():
            if layer.weight[..., ~layer.mask].any():
                raise ValueError("a pruned weight is not zero")
            yield f"{number}.mask.{name}", np.packbits(layer.mask)
            yield f"{number}.weight.{name}", layer.weight[..., layer.mask]
            if layer.bias is not None:
                yield f"{number}.bias.{name}", layer.bias


class Pruned(Mapping[str, PrunedNetwork]):
    """All variants of one baseline in a file, by name; each is read when it is asked for.

    Parameters
    ----------
    path
        What `save` wrote; its digest is checked at once.
    origin
        Of the baseline that they must be pruned from, if it matters.

    Raises
    ------
    UserError
        If the file is missing, damaged, or holds something else, such as the layers of another
        baseline than that of `origin`.
    """

    def __init__(self, path: Path, origin: Origin | None = None) -> None:
        self.path = path
        _, about = streams.load(path, only=())
        if not {"origin", "variants", "shapes"} <= set(about):
            raise InvalidFileError(
                f"{path} holds no pruned layers; give a file made by ap3 prune or ap3 finetune."
            )
        with storage.holding(path, "pruned layers"):
            self.origin = content.record(about, "origin", Origin)
            names = content.entry(about, "variants", tuple[str, ...])
            self.variants = [Variant.parse(name) for name in names]
            shapes = content.entry(about, "shapes", dict)
            self.shapes = {name: content.entry(shapes, name, tuple[int, ...]) for name in shapes}
            if not (self.variants and self.shapes and "".join(self.shapes).isprintable()):
                raise content.ContentError("names that cannot be printed, or none")
        if origin is not None and self.origin != origin:
            raise InvalidValueError(
                f"{path} was pruned from {self.origin} (seed {self.origin.seed}), but the "
                f"checkpoint is {origin} (seed {origin.seed}); give the layers of that checkpoint."
            )

    def check_training(self, layer: str, weight: FloatArray) -> None:
        """Refuse another training of the baseline than the one that was pruned.

        The control tells them apart: before fine-tuning it is the baseline. Without it nothing does.

        Parameters
        ----------
        layer
            A layer of the checkpoint, by name.
        weight
            Its weights there.

        Raises
        ------
        UserError
            If the control has other weights before fine-tuning.
        """
        control = self.get(CONTROL)
        if control is None or layer not in control.layers:
            return
        first = control.layers[layer].weight.reshape(-1, *self.shapes[layer])[0]
        if not np.array_equal(first, weight):
            raise InvalidValueError(
                f"{self.path} was pruned from another training of {self.origin} than the checkpoint; "
                "prune the checkpoint again, or give the one that was pruned."
            )

    def __getitem__(self, name: str) -> PrunedNetwork:
        names = [*self]
        if name not in names:
            raise KeyError(name)
        number = names.index(name)
        parts = {
            f"{number}.{part}.{layer}"
            for part in ("mask", "weight", "bias")
            for layer in self.shapes
        }
        arrays, _ = storage.load(self.path, only=parts)
        with storage.holding(self.path, "pruned layers"):
            layers = {
                layer: _unpacked(
                    content.array(arrays, f"{number}.mask.{layer}", "u", 1),
                    content.array(arrays, f"{number}.weight.{layer}"),
                    arrays.get(f"{number}.bias.{layer}"),
                    shape,
                )
                for layer, shape in self.shapes.items()
            }
        return PrunedNetwork(self.origin, self.variants[number], layers)

    def __iter__(self) -> Iterator[str]:
        return map(str, self.variants)

    def __len__(self) -> int:
        return len(self.variants)


def _unpacked(
    bits: NDArray[np.uint8], values: FloatArray, bias: FloatArray | None, shape: tuple[int, ...]
) -> PrunedLayer:
    fits = bool(shape) and min(shape) > 0 and values.ndim <= 2
    if not fits or bits.dtype != np.uint8 or len(bits) != -(-prod(shape) // 8):
        raise content.ContentError(f"a mask does not hold {shape} bits")
    mask = np.unpackbits(bits, count=prod(shape)).reshape(shape).astype(bool)
    if values.shape[-1] != np.count_nonzero(mask):
        raise content.ContentError(f"a mask keeps other weights than {values.shape}")
    weight = np.zeros(values.shape[:-1] + shape, values.dtype)
    weight[..., mask] = values
    layer = PrunedLayer(mask, weight, bias)
    fits = layer.shift.shape == (*values.shape[:-1], shape[0])
    if values.dtype.kind != "f" or values.ndim > 2 or not fits:
        raise content.ContentError(f"{values.dtype}, {weight.shape} and {layer.shift.shape}")
    return layer
