"""Random orthogonal matrices V, dense as the paper builds them, or applied without being formed."""

from typing import Any, Protocol, Self

import numpy as np
from scipy.fft import dct, idct
from scipy.linalg import eigh

from ap3.errors import InvalidValueError
from ap3.latent.vectors import BLOCK, Vector, as_float64, slices

# The permutation is read in parts of 2¹⁶, since NumPy turns what it indexes with into int64.
_INDEX_WIDTH = BLOCK // 2**16


class Rotation(Protocol):
    """An orthogonal matrix V of order n, equal to another made of the same numbers."""

    n: int

    def apply(self, x: Vector, overwrite_x: bool = False) -> Vector:
        """Vᵀx on the last axis: (…, n) → (…, n); `x` may be used up to save memory."""
        ...

    def inverse(self, x: Vector) -> Vector:
        """Vx on the last axis: (…, n) → (…, n)."""
        ...


class DenseRotation:
    """V as a matrix of order n, such as the eigenvectors of R + Rᵀ (Sec. 2).

    Attributes
    ----------
    matrix : array of shape (n, n)
        V, eigenvectors in columns; what to store, since drawing it takes minutes at n = 20,480.

    Examples
    --------
    >>> V = DenseRotation.draw(3, np.random.default_rng(0))
    >>> np.allclose(V.matrix.T @ V.matrix, np.eye(3))
    True
    """

    def __init__(self, matrix: Vector) -> None:
        self.matrix = matrix
        self.n = len(matrix)

    @classmethod
    def draw(cls, n: int, rng: int | np.random.Generator) -> Self:
        """Eigenvectors of R + Rᵀ, R with standard normal entries; some 24 n² bytes at its peak."""
        R = np.random.default_rng(rng).standard_normal((n, n))
        R += R.T
        # R is symmetric, so its transpose is itself in the order that LAPACK overwrites in place.
        return cls(eigh(R.T, overwrite_a=True, check_finite=False, driver="evd")[1])

    @classmethod
    def from_matrix(cls, matrix: Any) -> Self:
        """Take a V that was stored.

        Raises
        ------
        UserError
            If it is not square, or not orthogonal as seen on a random vector (a full check would
            take as long as drawing it).
        """
        V = as_float64(matrix, "the rotation matrix")
        if V.ndim != 2 or V.shape[0] != V.shape[1] or not V.size:
            raise InvalidValueError(
                f"a rotation must be a square matrix, but this has shape {V.shape}."
            )
        x = np.random.default_rng(0).standard_normal(len(V))
        if not np.allclose(V @ (x @ V), x, rtol=0, atol=1e-8):
            raise InvalidValueError(
                "a rotation must be an orthogonal matrix, but V Vᵀ is not the identity here; "
                "store DenseRotation.matrix in float64 and give that."
            )
        return cls(V)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DenseRotation) and np.array_equal(self.matrix, other.matrix)

    def apply(self, x: Vector, overwrite_x: bool = False) -> Vector:
        """Vᵀx on the last axis: (…, n) → (…, n), one matrix product for all rows."""
        return x @ self.matrix

    def inverse(self, x: Vector) -> Vector:
        """Vx on the last axis: (…, n) → (…, n)."""
        return x @ self.matrix.T


class FastRotation:
    """A random orthogonal V that is never formed: twice random signs and a cosine transform.

    Vᵀ = C S₂ P C S₁ with the orthonormal discrete cosine transform C, defined for every n, diagonal
    random signs S, and a random permutation P. The first round spreads every coordinate over all;
    the second makes of that, whatever the input, a nearly Gaussian mixture, as a uniformly random V
    would. Without P, what is symmetric about the layer's middle stays so, and AP3 of a single
    weight varies by up to a quarter more or less than it should. O(n log n) time, 6 n bytes.

    Parameters
    ----------
    n
        Order, any.
    seed
        Seed or NumPy generator of the signs and the permutation.

    Examples
    --------
    >>> V = FastRotation(5, seed=0)
    >>> x = np.arange(5.0)
    >>> np.allclose(V.inverse(V.apply(x)), x), np.allclose(V.apply(x) @ V.apply(x), x @ x)
    (True, True)
    """

    def __init__(self, n: int, seed: int | np.random.Generator) -> None:
        rng = np.random.default_rng(seed)
        self.n = n
        self.signs = 2 * rng.integers(2, size=(2, n), dtype=np.int8) - 1
        self.order = rng.permutation(n).astype(np.min_scalar_type(n))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FastRotation)
            and np.array_equal(self.signs, other.signs)
            and np.array_equal(self.order, other.order)
        )

    def apply(self, x: Vector, overwrite_x: bool = False) -> Vector:
        """Vᵀx on the last axis: (…, n) → (…, n); `x` may be used up to save memory."""
        spread = np.multiply(x, self.signs[0], out=x if overwrite_x else None)
        spread = dct(spread, norm="ortho", overwrite_x=True)
        shuffled = np.empty_like(spread)
        for rows in slices(self.n, _INDEX_WIDTH):
            np.take(spread, self.order[rows], axis=-1, out=shuffled[..., rows], mode="clip")
        del spread
        shuffled *= self.signs[1]
        return dct(shuffled, norm="ortho", overwrite_x=True)

    def inverse(self, x: Vector) -> Vector:
        """Vx on the last axis: (…, n) → (…, n)."""
        shuffled = idct(x, norm="ortho")
        shuffled *= self.signs[1]
        spread = np.empty_like(shuffled)
        for rows in slices(self.n, _INDEX_WIDTH):
            spread[..., self.order[rows]] = shuffled[..., rows]
        del shuffled
        spread = idct(spread, norm="ortho", overwrite_x=True)
        spread *= self.signs[0]
        return spread
