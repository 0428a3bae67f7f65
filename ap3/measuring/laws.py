"""The latent laws at a layer of a baseline, each with its scale, given or automatic.

A function for each law that the catalogue names; it takes the layer and returns the law.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ap3.config import user_code
from ap3.errors import InvalidTypeError, InvalidValueError
from ap3.latent import (
    DiagonalFisherGaussian,
    FisherGaussian,
    IsotropicGaussian,
    Law,
    Rotation,
    SoftmaxCurvature,
    SpectralGaussian,
    StudentT,
    auto_fisher_scale,
    auto_scale,
    auto_student_t_scale,
    auto_variance,
)
from ap3.latent.vectors import FloatArray, Vector
from ap3.measuring import catalogue


@dataclass(frozen=True)
class Scales:
    """What sets the size of the laws; None is `auto`, what follows from the baseline's weights.

    Attributes
    ----------
    variance
        σ² of the isotropic Gaussian.
    beta
        β of Σ = β V Λ Vᵀ.
    fisher_scale, damping
        c and λ of Σ⁻¹ = c (F + λI), and of its diagonal.
    share
        What the Student-t law shares with the isotropic Gaussian at its own location, whose σ² is
        the automatic one: the covariance, or the scale matrix.
    """

    variance: float | None = None
    beta: float | None = None
    fisher_scale: float | None = None
    damping: float | None = None
    share: Literal["covariance", "scale"] = "covariance"


AUTO = Scales()


@dataclass(frozen=True, eq=False)
class BaselineLayer:
    """A layer of a baseline, nothing pruned, and all that a latent law may be set up from.

    Attributes
    ----------
    weight, bias : array of shape (C, …), and (C,) or None
    features : array of shape (N, d)
        What the layer sees of the training examples; None where it is not known.
    rotation, spectrum
        V and Λ of the non-diagonal law; None where no V was drawn for this layer.
    df, groups
        Of the Student-t law.
    scales
        Of all laws.
    """

    weight: FloatArray
    bias: FloatArray | None = None
    features: Vector | None = None
    rotation: Rotation | None = None
    spectrum: Vector | None = None
    df: float = 4.0
    groups: int | None = None
    scales: Scales = field(default_factory=lambda: AUTO)

    @property
    def shift(self) -> FloatArray:
        """The bias; zeros where the layer has none."""
        zeros = np.zeros(len(self.weight), self.weight.dtype)
        return zeros if self.bias is None else self.bias

    @cached_property
    def curvature(self) -> SoftmaxCurvature | None:
        """F + λI of the layer, which both Fisher laws share; None where its features are unknown."""
        if self.features is None:
            return None
        logits = self.features @ self.weight.T + self.shift
        return SoftmaxCurvature(self.features, logits, self.scales.damping)


def gaussian(layer: BaselineLayer) -> Law:
    """Set up N(ω, σ²I)."""
    return IsotropicGaussian(layer.weight, layer.scales.variance or auto_variance(layer.weight))


def nondiagonal(layer: BaselineLayer) -> Law | None:
    """Set up N(ω, β V Λ Vᵀ), where a V was drawn."""
    if layer.rotation is None or layer.spectrum is None:
        return None
    beta = layer.scales.beta or auto_scale(layer.weight, layer.rotation, layer.spectrum)
    return SpectralGaussian(layer.weight, layer.rotation, layer.spectrum, beta)


def student_t(layer: BaselineLayer) -> Law:
    """Set up the Student-t law of Sec. 5.3."""
    df, groups = layer.df, layer.groups
    scale = auto_student_t_scale(layer.weight, df, groups, layer.scales.share)
    return StudentT(layer.weight, df, scale, groups)


def fisher(layer: BaselineLayer) -> Law | None:
    """Set up N(ω, (c (F + λI))⁻¹), where the features are known."""
    return _of_curvature(layer, FisherGaussian)


def fisher_diagonal(layer: BaselineLayer) -> Law | None:
    """Set up the same with the diagonal of F."""
    return _of_curvature(layer, DiagonalFisherGaussian)


def _of_curvature(
    layer: BaselineLayer, law: type[FisherGaussian] | type[DiagonalFisherGaussian]
) -> Law | None:
    curvature = layer.curvature
    if curvature is None:
        return None
    scale = layer.scales.fisher_scale or auto_fisher_scale(layer.weight, curvature, law)
    return law(layer.weight, curvature, scale)


def own_laws(names: Iterable[str], weight: Any) -> dict[catalogue.Measure, Law]:
    """Set up latent laws of the user's at a layer's weights, each under its measure.

    Parameters
    ----------
    names
        `package.module:function` of each; it takes the weights and returns a `Law` at them.
    weight
        The layer's weights.

    Raises
    ------
    UserError
        If one cannot be imported, returns no law, or is called like another.
    """
    laws: dict[catalogue.Measure, Law] = {}
    for name in names:
        law = user_code.load(name, "latent law", ("weights",))(weight)
        if not isinstance(law, Law):
            raise InvalidTypeError(
                f"the latent law {name!r} returned {type(law).__name__}, but must return an "
                "ap3.latent.Law."
            )
        measure = catalogue.own(user_code.function_of(name))
        if measure.column in {known.column for known in laws}:
            raise InvalidValueError(
                f"two latent laws are called {user_code.function_of(name)!r}, and their columns "
                "would be one; rename one of the functions."
            )
        laws[measure] = law
    return laws
