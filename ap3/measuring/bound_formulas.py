"""The bounds of Secs. 2 and 3 on the performance difference, as printed and as they come out right.

Notation: Δ = ω̃ − ω, ε = KL(P_ω ‖ P_ω̃), T = tr Σ + tr Σ̃ of the two latent laws, H the Hessian of the
loss in the last layer's weights. PD is the absolute difference of the mean cross-entropy on the
split that H and the slope are taken on. E[Y · …] of the paper has no value for cross-entropy; 1
stands for it throughout. Everything here is a function of arrays that broadcast together.

What is right in each step, and what is not:

- Corollary 2.6 is right: KL ≥ 2 TV² (Pinsker) and TV ≥ ‖Δ‖²/(2T + ‖Δ‖²) (Lemma 2.5).
- Solving it for ‖Δ‖² gives 2T s/(1 − s) with s = √(ε/2) for ε < 2. Eq. 16 has T s/(1 − s).
- A loss need not be flat where a pruned layer stands. Eqs. 15 and 46 leave the slope out, and put
  λ_max(H) at one point where Taylor's theorem asks for it on the whole way between the layers. A
  bound that holds, for r ≥ ‖Δ‖ and Λ ≥ λ_max(H) everywhere, is ‖∇L(ω)‖ r + ½ Λ r².
- Corollary 3.2 puts the bound on ‖Δ‖ (Eq. 20) where Eq. 19 asks for that on ‖Δ‖².
- Fine-tuning moves the bias too, which no latent law sees. `bias_bound` is what that can change.
"""

from typing import Any

import numpy as np

from ap3.latent.vectors import Vector


def corollary_2_6(distance2: Any, trace: Any) -> Any:
    """Lower bound on the KL of any two laws whose means are √`distance2` apart (Corollary 2.6).

    2 (‖Δ‖²/(2T + ‖Δ‖²))²; printed and right, whatever the laws are.

    Examples
    --------
    >>> float(corollary_2_6(2.0, 1.0))
    0.5
    """
    return 2 * np.square(distance2 / (2 * trace + np.asarray(distance2, dtype=float)))


def equation_16_printed(kl: Any, trace: Any) -> Any:
    """T s/(1 − s), s = √(ε/2): what Eq. 16 puts above ‖Δ‖². Infinite where ε is 2 or more.

    Half of what follows from Corollary 2.6. The slack of Pinsker's inequality hides the slip: for
    two Gaussians of one Σ, ε ≥ ‖Δ‖²/(2 λ_max(Σ)) and T ≥ 2 λ_max(Σ), and so Eq. 16 holds as well.

    Examples
    --------
    >>> float(equation_16_printed(0.5, 1.0))
    1.0
    """
    s = np.sqrt(np.asarray(kl, dtype=float) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(s < 1, trace * s / (1 - s), np.inf)


def equation_16(kl: Any, trace: Any) -> Any:
    """2T s/(1 − s), s = √(ε/2): Corollary 2.6 solved for ‖Δ‖². Infinite where ε is 2 or more.

    ε ≥ 2 (a/(2T + a))² with a = ‖Δ‖² means a ≤ s (2T + a), that is a (1 − s) ≤ 2T s.

    Examples
    --------
    >>> round(float(corollary_2_6(equation_16(0.3, 1.7), 1.7)), 12)
    0.3
    """
    return 2 * equation_16_printed(kl, trace)


def equation_20(kl: Any, precision_min: Any) -> Any:
    """2ε/λ_min(Σ⁻¹): above ‖Δ‖² for Gaussians of one Σ (Eq. 20 squared), where ε = ½ ΔᵀΣ⁻¹Δ.

    Examples
    --------
    >>> float(equation_20(2.0, 0.5))
    8.0
    """
    return 2 * np.asarray(kl) / precision_min


def taylor_bound(distance2: Any, slope: Any, curvature: Any) -> Any:
    """‖∇L‖ r + ½ Λ r² with r² = `distance2`: how far the loss can be off at distance r at most.

    Taylor's theorem: L(ω̃) − L(ω) = ⟨∇L(ω), Δ⟩ + ½ ΔᵀH(ξ)Δ for some ξ between ω and ω̃. With
    Λ ≥ λ_max(H) everywhere (`HeadLoss.curvature_bound`) it holds; H ⪰ 0, as cross-entropy is
    convex in the last layer. With λ_max of one point in its place it is a guess.

    The slope is taken at the baseline, where training has made it small. The paper expands at ω̃,
    whose slope is not zero on pruned weights and which is known only after pruning.

    Examples
    --------
    >>> float(taylor_bound(4.0, slope=0.5, curvature=3.0))
    7.0
    """
    distance2 = np.asarray(distance2, dtype=float)
    return _times(slope, np.sqrt(distance2)) + _times(0.5 * curvature, distance2)


def _times(factor: Any, distance: Any) -> Any:
    """Multiply; an infinite distance stays so even by zero, as nothing is said of it."""
    silent = np.isinf(distance) & (np.asarray(factor) == 0)
    with np.errstate(invalid="ignore"):
        return np.where(silent, np.inf, factor * distance)


def lemma_3_1_printed(kl: Any, trace: Any, eigenvalue: Any) -> Any:
    """½ λ_max T s/(1 − s), s = √(ε/2): Lemma 3.1 as Eq. 18 has it, with λ_max(H) at ω̃.

    Examples
    --------
    >>> float(lemma_3_1_printed(0.5, 1.0, 4.0))
    2.0
    """
    return _times(0.5 * eigenvalue, equation_16_printed(kl, trace))


def lemma_3_1(kl: Any, trace: Any, slope: Any, curvature: Any) -> Any:
    """`taylor_bound` with ‖Δ‖² from `equation_16`: Lemma 3.1 as it comes out right.

    Examples
    --------
    >>> float(lemma_3_1(0.5, 1.0, slope=0.0, curvature=4.0))
    4.0
    """
    return taylor_bound(equation_16(kl, trace), slope, curvature)


def corollary_3_2_printed(kl: Any, precision_min: Any, eigenvalue: Any) -> Any:
    """½ λ_max √(2ε/λ_min): Corollary 3.2 as Eq. 22 has it, with λ_max(H) at ω̃.

    The root belongs to ‖Δ‖, and Eq. 19 asks for ‖Δ‖²: too low where 2ε/λ_min > 1.

    Examples
    --------
    >>> float(corollary_3_2_printed(2.0, 0.25, 3.0))
    6.0
    """
    return _times(0.5 * eigenvalue, np.sqrt(equation_20(kl, precision_min)))


def corollary_3_2(kl: Any, precision_min: Any, slope: Any, curvature: Any) -> Any:
    """`taylor_bound` with ‖Δ‖² from `equation_20`: Corollary 3.2 as it comes out right.

    Examples
    --------
    >>> float(corollary_3_2(2.0, 0.25, slope=0.0, curvature=3.0))
    24.0
    """
    return taylor_bound(equation_20(kl, precision_min), slope, curvature)


def bias_bound(change: Any) -> Any:
    """Largest change of any cross-entropy when the logits move by `change` (…, C): max − min.

    log Σ exp(z + c) − log Σ exp z lies between min c and max c, and the label's logit moves by one
    of the entries of c.

    Examples
    --------
    >>> float(bias_bound([0.5, -0.25]))
    0.75
    """
    return np.ptp(np.asarray(change, dtype=float), axis=-1)


def equation_4(distance2: Any, precision_max: Any) -> Any:
    """½ λ_max(Σ⁻¹) ‖Δ‖²: AP2 implies AP3, for Gaussians of one Σ, where Eq. 4's C is zero.

    Examples
    --------
    >>> float(equation_4(3.0, 2.0))
    3.0
    """
    return 0.5 * precision_max * np.asarray(distance2)


def equation_5(
    distance2: Any, kl: Any, precision_min: float, precision_max: float
) -> dict[str, Any]:
    """Test Eq. 5, ‖Δ‖² ≤ λ_min(Σ⁻¹) ‖Δ‖² ≤ ΔᵀΣ⁻¹Δ, for Gaussians of one Σ, where ΔᵀΣ⁻¹Δ = 2ε.

    The paper wants every eigenvalue of Σ to be at least 1. But λ_min(Σ⁻¹) = 1/λ_max(Σ) is then at
    most 1, and the first inequality is reversed: what it needs is every eigenvalue at most 1.

    Examples
    --------
    >>> equation_5(3.0, 0.75, 0.5, 0.5)  # Σ = 2I
    {'condition_printed': True, 'condition': False, 'conclusion': np.False_}
    """
    return {
        "condition_printed": precision_max <= 1,
        "condition": precision_min >= 1,
        "conclusion": np.asarray(distance2) <= (1 + 1e-12) * 2 * np.asarray(kl),
    }


def definition_2_7(kl: Vector) -> Vector:
    """|KL(ω*‖ω̃*) − KL(ω*‖ω̃ᵗ)| for every epoch t, with the last epoch for ω̃* (Def. 2.7).

    Parameters
    ----------
    kl : array of shape (E,)
        KL(ω*‖ω̃ᵗ).

    Examples
    --------
    >>> definition_2_7(np.array([3.0, 1.5, 1.0]))
    array([2. , 0.5, 0. ])
    """
    return np.abs(kl[-1] - kl)


def theorem_3_6(kl: Vector, from_last: Vector) -> Vector:
    """|KL(ω*‖ω̃*) − KL(ω̃*‖ω̃ᵗ)| for every epoch t, as Theorem 3.6 has it.

    It ends at KL(ω*‖ω̃*) and not at zero, since KL(ω̃*‖ω̃*) = 0; so the theorem's assumption, that it
    gets small, and Def. 2.7's are different assumptions.

    Parameters
    ----------
    kl, from_last : array of shape (E,)
        KL(ω*‖ω̃ᵗ) and KL(ω̃*‖ω̃ᵗ).

    Examples
    --------
    >>> theorem_3_6(np.array([3.0, 1.5, 1.0]), np.array([0.5, 0.25, 0.0]))
    array([0.5 , 0.75, 1.  ])
    """
    return np.abs(kl[-1] - from_last)
