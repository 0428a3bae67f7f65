"""Latent laws of all layers of a network that need no data, and distances of its weights.

The layers' laws are independent: AP3 of the network is the sum of the layers' KL. Each layer's law has a
scale of its own, from its own weights, and so AP3 of the network is no function of its AP2.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.config.seeds import derive
from ap3.latent.law import Law
from ap3.latent.rotation import FastRotation
from ap3.latent.spectral import default_spectrum
from ap3.measuring import catalogue
from ap3.measuring.laws import AUTO, BaselineLayer, Scales, own_laws
from ap3.pruning.pruned import Origin

Weights = Mapping[str, NDArray[np.floating[Any]]]

DISTANCES = ("ap2", "relative_frobenius", "cosine_distance")


class NetworkLaws:
    """Every law of the catalogue that sees the weights alone, at each layer of a baseline.

    Parameters
    ----------
    origin
        The baseline. V of the non-diagonal law is a fast rotation, drawn for each layer by its name.
    weights
        Of the layers that may be pruned, by name.
    df, groups
        Of the Student-t law.
    own
        Latent laws of the user's, `package.module:function`.
    scales
        Of the laws, where they are not to follow from each layer's own weights.
    """

    def __init__(
        self,
        origin: Origin,
        weights: Weights,
        df: float = 4.0,
        groups: int | None = None,
        own: Iterable[str] = (),
        scales: Scales = AUTO,
    ) -> None:
        self.weights = {name: np.asarray(weight, np.float64) for name, weight in weights.items()}
        self.laws: dict[str, dict[str, Law]] = {}
        chosen = [one for one in catalogue.MEASURES if one.law and one.sees == "weights"]
        names = [*own]
        for name, weight in self.weights.items():
            flat = weight.reshape(len(weight), -1)
            if not flat.any():
                continue
            rotation = FastRotation(
                weight.size, derive(origin.seed, origin.dataset, origin.model, name, "rotation")
            )
            # Fewer weights than groups are their own groups.
            some = None if groups is None or groups > weight.size else groups
            layer = BaselineLayer(
                flat,
                rotation=rotation,
                spectrum=default_spectrum(weight.size),
                df=df,
                groups=some,
                scales=scales,
            )
            for measure in chosen:
                law = catalogue.function(measure.law)(layer)
                self.laws.setdefault(measure.column, {})[name] = law
            for measure, law in own_laws(names, weight).items():
                self.laws.setdefault(measure.column, {})[name] = law

    def of_layer(self, name: str, weight: NDArray[np.floating[Any]]) -> dict[str, float]:
        """Measure one layer: `norm2` (‖ω‖²), `new_norm2`, `ap2`, and AP3 under every law.

        Parameters
        ----------
        name
            Of the layer.
        weight
            Its new weights.
        """
        before, after = self.weights[name], np.asarray(weight, np.float64)
        found = {
            "ap2": float(np.square(after - before).sum()),
            "norm2": float(np.square(before).sum()),
            "new_norm2": float(np.square(after).sum()),
        }
        for column, laws in self.laws.items():
            same = found["ap2"] == 0
            law = laws.get(name)
            found[column] = (
                0.0 if same else np.nan if law is None else float(law.kl_many(after[np.newaxis])[0])
            )
        return found

    @property
    def columns(self) -> list[str]:
        """Names of the laws' columns."""
        return [*self.laws]

    def of_network(self, layers: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Put the layers together: sums, and distances of the joined weights.

        Parameters
        ----------
        layers
            What `of_layer` gave for every layer that may be pruned.
        """
        total = {
            key: sum(layer[key] for layer in layers.values())
            for key in ("ap2", "norm2", "new_norm2", *self.columns)
        }
        norms = np.sqrt(total["norm2"]), np.sqrt(total["new_norm2"])
        # 1 − cos of the angle, which keeps its digits at small angles.
        apart = total["ap2"] - (norms[0] - norms[1]) ** 2
        return {
            "ap2": total["ap2"],
            "relative_frobenius": float(np.sqrt(total["ap2"] / total["norm2"])),
            "cosine_distance": float(apart / (2 * norms[0] * norms[1])) if all(norms) else np.nan,
            **{column: total[column] for column in self.columns},
        }
