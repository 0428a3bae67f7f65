"""The pruned layer on disk: as it was pruned, and as it was after every epoch of fine-tuning."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ap3.config.variants import CONTROL, Variant
from ap3.errors import UserError
from ap3.files import storage

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Origin:
    """Which baseline a pruned layer comes from."""

    dataset: str
    model: str
    trial: int
    seed: int
    layer: str

    def __post_init__(self) -> None:
        if not f"{self} {self.seed} {self.layer}".isprintable():
            raise ValueError("its origin has names that cannot be printed")

    def __str__(self) -> str:
        return f"{self.dataset} {self.model} trial {self.trial}"


@dataclass(frozen=True, eq=False)
class Layer:
    """A pruned last layer and, after fine-tuning, its states epoch by epoch.

    Attributes
    ----------
    origin, variant
        Where it comes from and how it was pruned.
    mask
        (classes, d), 1 where a weight is kept and 0 where it is pruned.
    weight, bias
        (classes, d) and (classes,); after fine-tuning with a leading axis of epochs, 0 first.
    """

    origin: Origin
    variant: Variant
    mask: FloatArray
    weight: FloatArray
    bias: FloatArray

    @classmethod
    def of_checkpoint(cls, path: Path) -> Self:
        """Take the last layer, nothing pruned, out of a checkpoint that `ap3 baseline` wrote."""
        arrays, metadata = storage.load(path)
        try:
            identity = metadata["identity"]
            names = ("dataset", "model", "trial", "seed")
            origin = Origin(**{name: identity[name] for name in names}, layer=identity["head"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is no checkpoint of ap3 (its metadata does not name a baseline: {error}); "
                "give a file made by ap3 baseline."
            ) from error
        with storage.holding(path, "weights of its last layer"):
            weight, bias = (arrays[f"{origin.layer}.{part}"] for part in ("weight", "bias"))
            if weight.ndim != 2 or bias.shape != weight.shape[:1]:
                raise ValueError(f"they have the shapes {weight.shape} and {bias.shape}")
        return cls(origin, Variant(CONTROL, 0.0), np.ones_like(weight), weight, bias)

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

    def check_epochs(self, logged: Iterable[int]) -> None:
        """Refuse the log of another fine-tuning: one of other epochs than those of the states.

        Raises
        ------
        UserError
            If the epochs in the log are not 0, 1, … in their order, one for each state.
        """
        found, last = list(logged), len(self.weight) - 1
        if found != list(range(last + 1)):
            raise UserError(
                f"the log of {self.variant} must have a row for each epoch of its layer, 0 to "
                f"{last}, but has {len(found)} rows of other epochs; fine-tune again."
            )

    def save(self, path: Path) -> None:
        """Write the layer to the safetensors file `path`.

        Its `mask` holds a bit for each weight (`numpy.packbits`), its `weight` the kept weights
        alone, (kept,) or (epochs, kept), in their order.

        Raises
        ------
        ValueError
            If a pruned weight is not zero.
        """
        kept = self.mask.astype(bool)
        if self.weight[..., ~kept].any():
            raise ValueError("a pruned weight is not zero")
        arrays = {
            "mask": np.packbits(kept),
            "weight": self.weight[..., kept],
            "bias": self.bias,
        }
        about = {"origin": asdict(self.origin), "variant": str(self.variant)}
        storage.save(path, arrays, **about, shape=list(self.mask.shape))

    @classmethod
    def load(cls, path: Path, origin: Origin | None = None) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        UserError
            If the file is missing, damaged, or holds something else, such as a layer of another
            baseline than that of `origin`, if one is given.
        """
        arrays, metadata = storage.load(path)
        if set(arrays) != {"mask", "weight", "bias"} or not {"variant", "shape"} <= set(metadata):
            raise UserError(
                f"{path} holds no pruned layer; give a file made by ap3 prune or ap3 finetune."
            )
        with storage.holding(path, "pruned layer"):
            values, shape = arrays["weight"], tuple(metadata["shape"])
            if len(arrays["mask"]) != -(-prod(shape) // 8):
                raise ValueError(f"its mask does not hold {shape} bits")
            kept = np.unpackbits(arrays["mask"], count=prod(shape)).reshape(shape).astype(bool)
            weight = np.zeros(values.shape[:-1] + shape, values.dtype)
            weight[..., kept] = values
            if values.dtype.kind != "f" or arrays["bias"].shape != weight.shape[:-1]:
                raise ValueError(f"{values.dtype}, {weight.shape} and {arrays['bias'].shape}")
            found, variant = Origin(**metadata["origin"]), Variant.parse(metadata["variant"])
        if origin is not None and found != origin:
            raise UserError(
                f"{path} was pruned from {found} (seed {found.seed}), but the checkpoint is "
                f"{origin} (seed {origin.seed}); give the layers of that checkpoint."
            )
        return cls(found, variant, kept.astype(values.dtype), weight, arrays["bias"])
