"""Latent laws whose location is a layer's weights, and their Kullback-Leibler divergences: AP3."""

from ap3.latent.auto import (
    auto_fisher_scale,
    auto_scale,
    auto_student_t_scale,
    auto_variance,
)
from ap3.latent.calibration import FULL_PRUNING_KL
from ap3.latent.fisher import DiagonalFisherGaussian, FisherGaussian, SoftmaxCurvature
from ap3.latent.gaussian import DiagonalGaussian, GaussianLaw, IsotropicGaussian
from ap3.latent.grouping import group_means
from ap3.latent.law import Law
from ap3.latent.monte_carlo import Estimate, student_t_kl_pyro, student_t_kl_reduced
from ap3.latent.rotation import DenseRotation, FastRotation, Rotation
from ap3.latent.spectral import SpectralGaussian, default_spectrum
from ap3.latent.student_t import StudentT, shared_scale, student_t_kl, student_t_kl_with_error

__all__ = [
    "FULL_PRUNING_KL",
    "DenseRotation",
    "DiagonalFisherGaussian",
    "DiagonalGaussian",
    "Estimate",
    "FastRotation",
    "FisherGaussian",
    "GaussianLaw",
    "IsotropicGaussian",
    "Law",
    "Rotation",
    "SoftmaxCurvature",
    "SpectralGaussian",
    "StudentT",
    "auto_fisher_scale",
    "auto_scale",
    "auto_student_t_scale",
    "auto_variance",
    "default_spectrum",
    "group_means",
    "shared_scale",
    "student_t_kl",
    "student_t_kl_pyro",
    "student_t_kl_reduced",
    "student_t_kl_with_error",
]
