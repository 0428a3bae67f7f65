"""The shared non-diagonal covariance on disk: its eigenvectors V and its spectrum Λ."""

from pathlib import Path

from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import content, storage
from ap3.latent.rotation import DenseRotation, FastRotation, Rotation
from ap3.latent.spectral import default_spectrum
from ap3.latent.vectors import Vector

ROTATIONS = ("dense", "fast")


def make_covariance(path: Path, n: int, rotation: str, seed: int) -> None:
    """Draw V of order `n` and write it with its spectrum.

    `dense` is the eigenvectors of R + Rᵀ (Sec. 2). `fast` is a transform that is never formed; of
    that one the seed is kept.
    """
    if rotation not in ROTATIONS:
        raise InvalidValueError(
            f"the rotation is {rotation!r}, but must be one of {', '.join(ROTATIONS)}."
        )
    arrays = {"spectrum": default_spectrum(n)}
    if rotation == "dense":
        arrays["matrix"] = DenseRotation.draw(n, seed).matrix
    storage.save(path, arrays, rotation=rotation, seed=seed)


def load_covariance(path: Path) -> tuple[Rotation, Vector]:
    """Read what `make_covariance` wrote: V and Λ.

    Raises
    ------
    UserError
        If the file is missing, damaged, or holds something else.
    """
    arrays, metadata = storage.load(path)
    kind = metadata.get("rotation")
    if kind not in ROTATIONS:
        raise InvalidFileError(f"{path} holds no covariance; give a file made by ap3 covariance.")
    with storage.holding(path, "covariance"):
        spectrum = content.array(arrays, "spectrum", ndim=1)
        if kind == "dense":
            return DenseRotation.from_matrix(content.array(arrays, "matrix", ndim=2)), spectrum
        return FastRotation(len(spectrum), content.entry(metadata, "seed", int)), spectrum
