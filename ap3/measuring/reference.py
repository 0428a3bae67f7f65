"""What pruned layers are measured from: a baseline's last layer, its task, and the laws at it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ap3.config.seeds import derive
from ap3.errors import UserError
from ap3.latent.law import Law
from ap3.latent.vectors import Vector, as_float64
from ap3.measuring.covariance import load_covariance
from ap3.measuring.head_loss import HeadLoss
from ap3.measuring.laws import AUTO, Laws, Scales, own_laws
from ap3.metrics import ap2
from ap3.pruning.layers import FloatArray, Layer, Origin
from ap3.training.splits import Split


@dataclass(frozen=True, eq=False)
class Reference:
    """An unpruned last layer with what it was trained to do and the laws that it locates."""

    layer: Layer
    loss: HeadLoss
    laws: Laws
    own: Mapping[str, Law] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        checkpoint: Path,
        train: Split,
        covariance: Path,
        df: float = 4.0,
        groups: int | None = None,
        examples: int | None = None,
        own: Iterable[str] = (),
        scales: Scales = AUTO,
    ) -> Self:
        """Read what `ap3 baseline` and `ap3 covariance` wrote.

        Parameters
        ----------
        train
            What the last layer sees of the training split.
        df, groups
            Of the Student-t law.
        examples
            How many training examples stand for the training split, drawn once for a baseline;
            all if there are no more, or if None.
        own
            Latent laws of the user's, `package.module:function`; each takes the baseline's weights.
        scales
            Of the laws, where they are not to follow from the baseline.

        Raises
        ------
        UserError
            If a file is missing or holds something else, or the features are another layer's.
        """
        layer = Layer.of_checkpoint(checkpoint)
        if train.features.shape[1:] != layer.weight.shape[1:]:
            raise UserError(
                f"the features are of shape {train.features.shape}, but the last layer of "
                f"{checkpoint} sees {layer.weight.shape[1]} numbers; give what ap3 features made "
                "of that checkpoint."
            )
        rows = _sample(len(train.labels), examples, layer.origin)
        loss = HeadLoss(train.features[rows], train.labels[rows])
        rotation, spectrum = load_covariance(covariance)
        laws = Laws.of_baseline(layer, loss.features, rotation, spectrum, df, groups, scales)
        return cls(layer, loss, laws, own_laws(own, layer.weight))

    def distances(self, weights: FloatArray) -> dict[str, Vector]:
        """AP2 and AP3 under every law of weights (E, C, d)."""
        laws = {**self.laws.by_name(), **self.own}
        kl = {f"ap3_{name}": law.kl_many(weights) for name, law in laws.items()}
        return {"ap2": ap2(self.layer.weight, weights)} | kl

    def taylor(self, weights: FloatArray, distances: dict[str, Vector]) -> Vector:
        """Second-order Taylor estimate, at the baseline, of the change of the training loss.

        ⟨∂L/∂W, Δ⟩ + ½ ΔᵀFΔ with Δ = W̃ − W; signed. F, the exact Hessian, is taken out of the Fisher
        law's KL, c/2 Δᵀ(F + λI)Δ. The bias is held where it was, as AP2 holds it.
        """
        change = as_float64(weights) - as_float64(self.layer.weight)
        slope = np.tensordot(change, self.gradient, axes=2)
        fisher = self.laws.fisher
        bend = distances["ap3_fisher"] / fisher.scale
        return slope + bend - 0.5 * fisher.curvature.damping * distances["ap2"]

    @property
    def value(self) -> float:
        """Loss of the baseline on its examples."""
        return self._at_baseline[0]

    @property
    def gradient(self) -> Vector:
        """∂L/∂W of that loss, (C, d)."""
        return self._at_baseline[1]

    @cached_property
    def _at_baseline(self) -> tuple[float, Vector]:
        return self.loss.value_and_gradient(self.layer.weight, self.layer.bias)


def _sample(count: int, examples: int | None, origin: Origin) -> NDArray[np.int64] | slice:
    """Draw which of `count` examples to take, in their order."""
    if examples is None or examples >= count:
        return slice(None)
    seed = derive(origin.seed, origin.dataset, origin.model, origin.trial, "examples")
    return np.sort(np.random.default_rng(seed).choice(count, examples, replace=False))
