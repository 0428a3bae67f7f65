"""The latent laws of one baseline's last layer, each with its scale, given or automatic."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from ap3.config import user_code
from ap3.errors import UserError
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
from ap3.latent.vectors import Vector
from ap3.pruning.layers import Layer


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


@dataclass(frozen=True)
class Laws:
    """One law of each kind, all at the weights of one baseline.

    The first three see the weights alone. The Fisher laws are shaped by the training features.
    """

    gaussian: IsotropicGaussian
    nondiagonal: SpectralGaussian
    student_t: StudentT
    fisher: FisherGaussian
    fisher_diagonal: DiagonalFisherGaussian

    @classmethod
    def of_baseline(
        cls,
        layer: Layer,
        features: Vector,
        rotation: Rotation,
        spectrum: Vector,
        df: float,
        groups: int | None,
        scales: Scales = AUTO,
    ) -> Self:
        """Set up every law at an unpruned last layer that sees `features`, (N, d)."""
        weights = layer.weight
        curvature = SoftmaxCurvature(features, features @ weights.T + layer.bias, scales.damping)
        variance = scales.variance or auto_variance(weights)
        beta = scales.beta or auto_scale(weights, rotation, spectrum)
        student_t = auto_student_t_scale(weights, df, groups, scales.share)
        fisher, diagonal = (
            scales.fisher_scale or auto_fisher_scale(weights, curvature, law)
            for law in (FisherGaussian, DiagonalFisherGaussian)
        )
        return cls(
            IsotropicGaussian(weights, variance),
            SpectralGaussian(weights, rotation, spectrum, beta),
            StudentT(weights, df, student_t, groups),
            FisherGaussian(weights, curvature, fisher),
            DiagonalFisherGaussian(weights, curvature, diagonal),
        )

    def by_name(self) -> dict[str, Law]:
        """List the laws, each under the name that follows `ap3_` in a table."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def scales(self) -> dict[str, float]:
        """The scales as they came out: columns of a table."""
        return {
            "gaussian_variance": self.gaussian.variance,
            "nondiagonal_scale": self.nondiagonal.scale,
            "student_t_scale": self.student_t.scale,
            "fisher_scale": self.fisher.scale,
            "fisher_diagonal_scale": self.fisher_diagonal.scale,
            "fisher_damping": self.fisher.curvature.damping,
        }


def own_laws(names: Iterable[str], weights: Any) -> dict[str, Law]:
    """Set up latent laws of the user's at a layer's weights, each under `own_` and its function.

    Parameters
    ----------
    names
        `package.module:function`; each takes the weights and returns a `Law` at them.

    Raises
    ------
    UserError
        If one cannot be imported, returns no law, or is called like another.
    """
    laws: dict[str, Law] = {}
    for name in names:
        law = user_code.load(name, "latent law", ("weights",))(weights)
        if not isinstance(law, Law):
            raise UserError(
                f"the latent law {name!r} returned {type(law).__name__}, but must return an "
                "ap3.latent.Law."
            )
        key = f"own_{user_code.function_of(name).lower()}"
        if key in laws:
            raise UserError(
                f"two latent laws are called {user_code.function_of(name)!r}, and their columns would "
                "be one; rename one of the functions."
            )
        laws[key] = law
    return laws
