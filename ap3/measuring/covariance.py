"""The shared non-diagonal covariance on disk: its eigenvectors V and its spectrum Λ."""

from pathlib import Path

from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import content, storage
from ap3.latent.rotation import DenseRotation, FastRotation, Rotation
from ap3.latent.spectral import default_spectrum
from ap3.latent.vectors import Vector

ROTATIONS = ("dense", "fast")
CHOICES = ("auto", *ROTATIONS)

DENSE_AT_MOST = 4096
"""Weights up to which `auto` is dense: some ten seconds of one core, and 400 MB."""

_KNOWN = 5120, 22.0  # weights, seconds of one core; the work grows as the third power

LONG = 600.0
"""Seconds from which on users are warned of a job."""


def chosen(rotation: str, n: int) -> str:
    """Return `dense` or `fast`: what is asked for, or what `auto` takes for `n` weights.

    Examples
    --------
    >>> chosen("auto", 1280), chosen("auto", 12800), chosen("dense", 12800)
    ('dense', 'fast', 'dense')

    Raises
    ------
    UserError
        If there is no such rotation.
    """
    if rotation not in CHOICES:
        raise InvalidValueError(
            f"the rotation is {rotation!r}, but must be one of {', '.join(CHOICES)}."
        )
    if rotation != "auto":
        return rotation
    return "dense" if n <= DENSE_AT_MOST else "fast"


def warning(rotation: str, n: int) -> str:
    """Warn of a dense matrix that takes over ten minutes; empty if it does not.

    Examples
    --------
    >>> warning("dense", 20480)
    'a dense V of 20,480 weights takes about 23 minutes of one core and 10 GB; rotation: fast takes seconds.'
    >>> warning("fast", 20480), warning("dense", 5120)
    ('', '')
    """
    foreseen = dense_seconds(n)
    if rotation != "dense" or foreseen < LONG:
        return ""
    return (
        f"a dense V of {n:,} weights takes about {foreseen / 60:.0f} minutes of one core and "
        f"{24 * n**2 / 1e9:.0f} GB; rotation: fast takes seconds."
    )


def dense_seconds(n: int) -> float:
    """Foresee what a dense V of `n` weights takes of one core, in seconds, from one known case."""
    weights, seconds = _KNOWN
    return seconds * (n / weights) ** 3


def make_covariance(path: Path, n: int, rotation: str, seed: int) -> None:
    """Draw V of order `n` and write it with its spectrum.

    `dense` is the eigenvectors of R + Rᵀ (Sec. 2). `fast` is a transform that is never formed; of
    that one the seed is kept. `auto` is dense where that is cheap.
    """
    rotation = chosen(rotation, n)
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
        seed: int = content.entry(metadata, "seed", int)
        if seed < 0:
            raise content.ContentError(f"the seed is {seed}")
        return FastRotation(len(spectrum), seed), spectrum
