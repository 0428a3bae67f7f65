"""The shared non-diagonal covariance on disk: its eigenvectors V and its spectrum Λ."""

from pathlib import Path

import numpy as np

from ap3 import storage
from ap3.errors import UserError
from ap3.latent import DenseRotation, FastRotation, Rotation, default_spectrum
from ap3.latent.vectors import Vector

ROTATIONS = ("dense", "fast")


def draw(n: int, kind: str, seed: int) -> Rotation:
    """Draw V of order `n`: eigenvectors of R + Rᵀ (`dense`, Sec. 2), or never formed (`fast`)."""
    if kind not in ROTATIONS:
        raise UserError(f"the rotation is {kind!r}, but must be one of {', '.join(ROTATIONS)}.")
    return DenseRotation.draw(n, seed) if kind == "dense" else FastRotation(n, seed)


def save(rotation: Rotation, path: Path) -> None:
    """Write V and the spectrum that goes with it."""
    name = "matrix" if isinstance(rotation, DenseRotation) else "signs"
    storage.save(path, {name: rotation.state, "spectrum": default_spectrum(rotation.n)})


def load(path: Path) -> tuple[Rotation, Vector]:
    """Read what `save` wrote: V and Λ.

    Raises
    ------
    UserError
        If the file is missing, damaged, or holds something else.
    """
    arrays, _ = storage.load(path)
    if "spectrum" in arrays and "matrix" in arrays:
        return DenseRotation.from_matrix(arrays["matrix"]), arrays["spectrum"].astype(np.float64)
    if "spectrum" in arrays and "signs" in arrays:
        return FastRotation.from_signs(arrays["signs"]), arrays["spectrum"].astype(np.float64)
    raise UserError(f"{path} holds no covariance; give a file made by ap3 covariance.")
