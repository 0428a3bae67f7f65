"""Variants of a whole network on disk, as a table, and the weights that follow from one.

Nothing of the size of the weights is stored for a variant: masks follow from the baseline, the mode
and the ratio of every layer, to the bit.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ap3.config import compressions
from ap3.errors import InvalidFileError, UserError
from ap3.files import csv_tables
from ap3.pruning.allocation import Allocated
from ap3.pruning.compressions import compress
from ap3.pruning.pruned import Origin

KEYS = ("dataset", "model", "trial", "mode", "ratio", "allocation")
"""What tells the variants of a study apart."""


def write(
    path: Path, origin: Origin, variants: Iterable[Allocated], sizes: Mapping[str, int]
) -> None:
    """Write the variants of one baseline: a row for each of its layers.

    `layer_ratio` is the share of the layer that goes, `weights` how many it has.
    """
    rows = [
        {
            "dataset": origin.dataset,
            "model": origin.model,
            "trial": origin.trial,
            "mode": variant.mode,
            "ratio": variant.ratio,
            "allocation": variant.allocation,
            "layer": layer,
            "weights": sizes[layer],
            "layer_ratio": ratio,
        }
        for variant in variants
        for layer, ratio in variant.ratios.items()
    ]
    csv_tables.write(pd.DataFrame(rows), path)


def read(path: Path, origin: Origin) -> list[Allocated]:
    """Read what `write` wrote, in its order.

    Raises
    ------
    UserError
        If the file is missing, damaged, or of another baseline than `origin`.
    """
    table = csv_tables.read_all([path], *KEYS, "layer", "layer_ratio")
    names = table[["dataset", "model", "trial"]].drop_duplicates().to_numpy().tolist()
    if names != [[origin.dataset, origin.model, origin.trial]]:
        raise InvalidFileError(
            f"{path} holds the variants of another baseline than {origin}; give those that ap3 "
            "allocate made of it."
        )
    return [
        Allocated(
            str(mode),
            float(ratio),
            str(allocation),
            dict(zip(mine["layer"], mine["layer_ratio"].astype(float), strict=True)),
        )
        for (mode, ratio, allocation), mine in table.groupby([*KEYS[3:]], sort=False)
    ]


class Compressor:
    """Gives the compressed weights of each variant of one baseline.

    The order of a layer's weights by magnitude is found once, and every variant cuts it elsewhere.

    Parameters
    ----------
    weights
        Of the baseline's layers, by name.
    origin
        The baseline.
    """

    def __init__(self, weights: Mapping[str, Tensor], origin: Origin) -> None:
        self.weights = {name: weight.detach().cpu() for name, weight in weights.items()}
        self.origin = origin
        self._ranks: dict[str, Tensor] = {}

    def of(self, variant: Allocated) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield name, new weights and mask of every layer that `variant` changes.

        Raises
        ------
        UserError
            If a layer is not one of the baseline's, or the mode does not fit it.
        """
        for name, ratio in variant.ratios.items():
            if ratio == 0:
                continue
            if name not in self.weights:
                raise InvalidFileError(
                    f"{self.origin} has no layer {name}; give the variants that ap3 allocations made "
                    "of this baseline."
                )
            try:
                yield name, *self._compressed(variant, name, ratio)
            except UserError as error:
                raise type(error)(f"layer {name} of {self.origin}: {error}") from error

    def _compressed(self, variant: Allocated, name: str, ratio: float) -> tuple[Tensor, Tensor]:
        weights = self.weights[name]
        if variant.mode in ("lowest", "highest"):
            mask = self._by_magnitude(name, variant.mode, round(ratio * weights.numel()))
            return torch.where(mask, weights, 0.0), mask
        seed = variant.seed(self.origin, name)
        return compress(weights, variant.mode, ratio, seed)

    def _by_magnitude(self, name: str, mode: str, amount: int) -> Tensor:
        key = f"{mode} {name}"
        if key not in self._ranks:
            scores = self.weights[name].abs() * (1 if mode == "lowest" else -1)
            self._ranks[key] = scores.flatten().argsort(stable=True).argsort().view(scores.shape)
        return self._ranks[key] >= amount


def check_modes(modes: Iterable[str], weights: Mapping[str, Tensor]) -> None:
    """Refuse a mode `n:M` whose M does not divide the rows of a layer.

    Raises
    ------
    UserError
        With the name of the layer.
    """
    for mode in modes:
        if compressions.group_size(mode):
            for name, weight in weights.items():
                try:
                    compress(weight.detach()[:1].cpu(), mode, 0.0)
                except UserError as error:
                    raise type(error)(f"layer {name}: {error}") from error
