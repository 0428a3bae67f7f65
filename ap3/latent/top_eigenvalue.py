"""The largest eigenvalue of a softmax layer's curvature, from products with vectors alone."""

from collections.abc import Callable

import numpy as np

from ap3.latent.vectors import Vector, slices

# Few Lanczos vectors, because a start from the epoch before is nearly right already. The tolerance
# is of the residual; the eigenvalue's error goes with its square.
_LANCZOS_VECTORS = 6
_TOLERANCE = 1e-4


def top_eigenvalue(
    features: Vector, probabilities: Vector, start: Vector | None = None
) -> tuple[float, Vector]:
    """Return λ_max of the Hessian in the last layer's weights, and its eigenvector, by Lanczos.

    Hessian–vector products only: H V = 1/N Σᵢ (diag pᵢ − pᵢpᵢᵀ) V xᵢ xᵢᵀ, in the precision of the
    features, at least single.

    Parameters
    ----------
    features : array of shape (N, d)
    probabilities : array of shape (N, C)
    start : array of shape (C · d,)
        A guess of the eigenvector, such as that of the epoch before.

    Examples
    --------
    >>> eigenvalue, _ = top_eigenvalue(np.array([[2.0]]), np.array([[0.5, 0.5]]))
    >>> round(eigenvalue, 12)
    2.0
    """
    shape = probabilities.shape[1], features.shape[1]
    dtype = np.result_type(features.dtype, np.float32)
    p = probabilities.astype(dtype)

    def product(vector: Vector) -> Vector:
        direction, total = vector.reshape(shape).astype(dtype), np.zeros(shape)
        for rows in slices(len(p), sum(shape)):
            x = features[rows].astype(dtype, copy=False)
            change = x @ direction.T
            change -= (p[rows] * change).sum(axis=1, keepdims=True)
            total += (p[rows] * change).T @ x
        return total.ravel() / len(p)

    return largest_eigenvalue(product, shape[0] * shape[1], start, _TOLERANCE)


def largest_eigenvalue(
    product: Callable[[Vector], Vector],
    size: int,
    start: Vector | None = None,
    tolerance: float = 0.0,
) -> tuple[float, Vector]:
    """Largest eigenvalue of a positive matrix, and its eigenvector; tolerance 0 means rounding."""
    if size <= _LANCZOS_VECTORS:
        values, vectors = np.linalg.eigh(np.stack([product(unit) for unit in np.eye(size)]))
        return float(values[-1]), vectors[:, -1]
    anywhere = np.random.default_rng(0).standard_normal(size)
    guesses = [anywhere] if start is None else [start, anywhere]
    start = next((guess for guess in guesses if np.linalg.norm(product(guess)) > 0), None)
    if start is None:
        # A layer that is sure of every example has less curvature than the smallest number.
        return 0.0, anywhere / np.linalg.norm(anywhere)
    from scipy.sparse.linalg import LinearOperator, eigsh  # slow to import, and seldom wanted

    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    value, vector = eigsh(
        operator, k=1, which="LA", v0=start, ncv=_LANCZOS_VECTORS, tol=tolerance, maxiter=10_000
    )
    return float(value[0]), vector[:, 0]
