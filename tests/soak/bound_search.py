"""Search for counterexamples to the bounds that are proved: millions of random cases in batches.

Usage: python tests/soak/bound_search.py [--cases 1000000] [--seed 0]

Every bound is evaluated on batches of extreme problems: logits and changes of all sizes from 10⁻⁸ to
10³, two to many classes, certain answers, rare classes, equal logits, changes in one class, changes
by one number in all classes. A case fails where it breaks a bound by more than rounding can.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import log_softmax, softmax

from ap3.measuring.along_fine_tuning import along_fine_tuning
from ap3.measuring.bound_formulas import (
    bias_bound,
    corollary_2_6,
    corollary_3_2,
    equation_16,
    equation_16_printed,
    lemma_3_1,
)
from ap3.measuring.kl_enclosures import ENCLOSURES
from ap3.measuring.lipschitz import lipschitz_bound
from ap3.measuring.logit_change import LogitChange
from ap3.measuring.predictive_law import forward_kl, jensen_shannon, reverse_kl
from ap3.measuring.slopes import slope_after, slope_before, trapezoid
from ap3.measuring.spectral_chain import Step, spectral_chain
from ap3.measuring.two_ends import jeffreys
from ap3.measuring.two_point import two_point_distance2, two_point_kl

_ROUNDING = 1e-13

# A check is a name, what must not be above something, that something, and the size of the numbers
# that were rounded on the way.
Check = tuple[str, np.ndarray, np.ndarray, np.ndarray]


def logits(rng: np.random.Generator, cases: int, classes: int) -> tuple[np.ndarray, ...]:
    """Draw logits and changes, (cases, 1, C) each, and labels."""
    shape = cases, 1, classes
    scale, size = (10 ** rng.uniform(-8, 3, size=(cases, 1, 1)) for _ in range(2))
    kinds = [rng.normal, rng.standard_cauchy, rng.standard_exponential]
    z, u = (kinds[rng.integers(3)](size=shape) for _ in range(2))
    z[rng.random(cases) < 0.05] = 0.0
    alone = rng.random(cases) < 0.2
    u[alone] *= rng.random(shape)[alone] < 0.4
    u[rng.random(cases) < 0.05] = 1.0
    z, u = (np.clip(factor * values, -1e4, 1e4) for factor, values in ((scale, z), (size, u)))
    return z, u, rng.integers(classes, size=cases)


def of_logits(rng: np.random.Generator, cases: int) -> Iterator[Check]:
    """Bounds on one example's loss."""
    z, u, labels = logits(rng, cases, int(rng.choice([2, 3, 10, 100], p=[0.4, 0.3, 0.2, 0.1])))
    made = LogitChange(z, u, labels)
    rows = np.arange(cases)
    gap = (made.log_p - made.log_q)[rows, :, labels]
    size = 1 + np.abs(z).max(axis=2) + np.abs(u).max(axis=2)
    kl, slope = forward_kl(made), slope_before(made)
    yield "identity, from above", gap, slope + kl, size
    yield "identity, from below", slope + kl, gap, size
    yield (
        "identity from the other end",
        np.abs(slope_after(made) - reverse_kl(made) - gap),
        0 * gap,
        size,
    )
    yield "convexity, lower", slope, gap, size
    yield "convexity, upper", gap, slope_after(made), size
    trapezoids = trapezoid(made) + 0.5 * (kl - reverse_kl(made))
    yield "trapezoid", np.abs(trapezoids - gap), 0 * gap, size
    enclosed = {name: bound(made) for name, bound in ENCLOSURES.items()}
    for kind in ("self_concordant", "bennett", "two_ends"):
        yield f"{kind}, lower", enclosed[f"{kind}_lower"], kl, kl * size
        yield f"{kind}, upper", kl, enclosed[f"{kind}_upper"], kl * size
    yield (
        "slopes at both ends under convexity",
        enclosed["two_ends_upper"],
        jeffreys(made),
        kl * size,
    )
    looser = enclosed["self_concordant_upper"]
    yield "Bennett under self-concordance", enclosed["bennett_upper"], looser, kl * size
    yield "Jensen–Shannon ≤ log 2", jensen_shannon(made), np.full_like(kl, np.log(2)), size
    yield "ptp(u)", np.abs(gap), np.ptp(u, axis=2), size


@dataclass
class Layers:
    """Small last layers: features (n, N, d), weights (n, C, d), biases (n, C), labels (n, N)."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    labels: np.ndarray

    def to(self, step: np.ndarray, shift: np.ndarray) -> "Layers":
        """Move the weights and the biases."""
        return Layers(self.x, self.weight + step, self.bias + shift, self.labels)

    @property
    def logits(self) -> np.ndarray:
        """z, (n, N, C)."""
        return self.x @ self.weight.swapaxes(1, 2) + self.bias[:, np.newaxis]

    @property
    def gradient(self) -> np.ndarray:
        """∇L, bias included, (n, C, d + 1)."""
        residual = softmax(self.logits, axis=2) - np.eye(self.bias.shape[1])[self.labels]
        x = np.concatenate([self.x, np.ones_like(self.x[..., :1])], axis=2)
        return residual.swapaxes(1, 2) @ x / self.x.shape[1]

    def gap(self, step: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, ...]:
        """Signed PD, KL of predictions, and the size of the numbers that make them, (n,) each."""
        cases, examples, classes = (z := self.logits).shape
        u = self.x @ step.swapaxes(1, 2) + shift[:, np.newaxis]
        flat = LogitChange(z.reshape(-1, 1, classes), u.reshape(-1, 1, classes))
        chosen = np.arange(self.labels.size), 0, self.labels.ravel()
        gap = (flat.log_p[chosen] - flat.log_q[chosen]).reshape(cases, examples)
        kl = forward_kl(flat).reshape(cases, examples)
        size = 1 + np.abs(z).max(axis=(1, 2)) + np.abs(u).max(axis=(1, 2))
        return gap.mean(axis=1), kl.mean(axis=1), size


def draw_layers(rng: np.random.Generator, cases: int) -> tuple[Layers, np.ndarray, np.ndarray]:
    """Draw layers, and how pruning or fine-tuning moves their weights and biases."""
    examples, inputs = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    classes = int(rng.integers(2, 5))
    scale, size = (10 ** rng.uniform(-3, 2, size=(cases, 1, 1)) for _ in range(2))
    x = rng.normal(size=(cases, examples, inputs)) * 10 ** rng.uniform(-2, 2, size=(cases, 1, 1))
    weight, step = rng.normal(size=(2, cases, classes, inputs))
    keep = rng.random(weight.shape) < rng.random((cases, 1, 1))
    weight *= scale
    step = np.where(rng.random((cases, 1, 1)) < 0.5, -weight * ~keep, size * step)
    shift = rng.normal(size=(cases, classes)) * size[..., 0] * (rng.random((cases, 1)) < 0.5)
    labels = rng.integers(classes, size=(cases, examples))
    return Layers(x, weight, np.zeros((cases, classes)), labels), step, shift


def of_layers(rng: np.random.Generator, cases: int) -> Iterator[Check]:
    """Bounds on the mean loss of small layers, all in one batch."""
    layers, step, shift = draw_layers(rng, cases)
    gap, kl, size = layers.gap(step, shift)
    norm = np.linalg.norm(layers.x, axis=2).mean(axis=1)
    frobenius = np.square(step).sum(axis=(1, 2))
    top = np.linalg.svd(step, compute_uv=False)[:, 0] ** 2
    for name, distance2 in (("Frobenius", frobenius), ("spectral", top)):
        yield f"Lipschitz, {name}", np.abs(gap), lipschitz_bound(norm, distance2, shift), size
    gradient = layers.gradient
    way = np.concatenate([step, shift[..., np.newaxis]], axis=2)
    slope = np.linalg.norm(gradient, axis=(1, 2)) * np.linalg.norm(way, axis=(1, 2))
    yield "AP3 of the predictive law", np.abs(gap), slope + kl, size
    moment = layers.x.swapaxes(1, 2) @ layers.x / layers.x.shape[1]
    curvature = 0.5 * np.linalg.eigvalsh(moment)[:, -1]
    slope = np.linalg.norm(gradient[..., :-1], axis=(1, 2))
    variance = 10 ** rng.uniform(-2, 4, size=cases)
    epsilon, trace = frobenius / (2 * variance), 2 * variance * step[0].size
    bound = corollary_3_2(epsilon, 1 / variance, slope, curvature) + bias_bound(shift)
    yield "Cor. 3.2, re-derived", np.abs(gap), bound, size + bound
    bound = lemma_3_1(epsilon, trace, slope, curvature) + bias_bound(shift)
    yield "Lemma 3.1, re-derived", np.abs(gap), bound, size + bound
    yield "Eq. 16, re-derived", frobenius, equation_16(epsilon, trace), frobenius
    yield "Eq. 16, as printed", frobenius, equation_16_printed(epsilon, trace), frobenius
    later = 10 ** rng.uniform(-3, 1, size=(cases, 1, 1))
    step2, shift2 = (rng.normal(size=each.shape) for each in (step, shift))
    step2, shift2 = step + later * step2 * (step != 0), shift + later[..., 0] * shift2
    last, _, size2 = layers.gap(step2, shift2)
    ends = [layers.to(step, shift), layers.to(step2, shift2)]
    slopes = [np.linalg.norm(each.gradient[..., :-1], axis=(1, 2)) for each in ends]
    path = (np.stack([getattr(each, of) for each in ends], axis=1) for of in ("weight", "bias"))
    along = along_fine_tuning(*path, np.stack(slopes, axis=1), np.abs(last))[:, 0]
    yield "along fine-tuning", np.abs(gap), along, size + size2


def of_chains(rng: np.random.Generator, cases: int) -> Iterator[Check]:
    """The chain of norms, of networks of three dense layers with ReLU, any of them pruned."""
    widths = rng.integers(1, 5, size=4) + np.array([0, 0, 0, 1])
    h = [rng.normal(size=(cases, 3, widths[0])) * 10 ** rng.uniform(-2, 2, size=(cases, 1, 1))] * 2
    labels = rng.integers(widths[3], size=(cases, 3))
    steps, size = [], np.ones(cases)
    for inputs, outputs in pairwise(widths):
        scale = 10 ** rng.uniform(-2, 1, size=(cases, 1, 1))
        weight = scale * rng.normal(size=(cases, outputs, inputs))
        bias = scale[..., 0] * rng.normal(size=(cases, outputs))
        kept = rng.random(weight.shape) < rng.choice([0.0, 0.5, 1.0], size=(cases, 1, 1))
        bias2 = bias + scale[..., 0] * rng.normal(size=bias.shape) * rng.integers(2)
        pruned = weight * kept
        norm, change = (
            np.linalg.svd(each, compute_uv=False)[:, 0] for each in (pruned, pruned - weight)
        )
        seen = np.linalg.norm(h[0], axis=2).mean(axis=1)
        steps.append(Step("", norm, change, np.linalg.norm(bias2 - bias, axis=1), seen))
        layers = (weight, bias), (pruned, bias2)
        z = [a @ w.swapaxes(1, 2) + b[:, np.newaxis] for a, (w, b) in zip(h, layers, strict=True)]
        size += np.abs(z[0]).max(axis=(1, 2)) + np.abs(z[1]).max(axis=(1, 2))
        h = [np.maximum(each, 0.0) for each in z]
    log_p, log_q = (log_softmax(each, axis=2) for each in z)
    gap = np.take_along_axis(log_p - log_q, labels[..., np.newaxis], axis=2).mean(axis=(1, 2))
    bound = spectral_chain(steps).sum(axis=0)
    yield "Thm 3.5, as a chain of norms", np.abs(gap), bound, size + bound


def of_laws(rng: np.random.Generator, cases: int) -> Iterator[Check]:
    """Two discrete laws on a few points of the line, their variances no larger than s²."""
    points = int(rng.integers(2, 6))
    values = rng.normal(size=(cases, points)) * 10 ** rng.uniform(-3, 3, size=(cases, 1))
    logs = rng.normal(size=(2, cases, points)) * 10 ** rng.uniform(-2, 1.5, size=(cases, 1))
    if rng.random() < 0.5:  # nearly what reaches the bound: two points, mirrored laws
        values, points = values[:, :2], 2
        half = 10 ** rng.uniform(-3, 1.3, size=cases)
        blur = rng.choice([0.0, 1e-3, 0.1]) * rng.normal(size=(2, cases))
        logs = np.stack([half, -half, -half + blur[0], half + blur[1]]).reshape(2, 2, -1)
        logs = logs.swapaxes(1, 2)
    made = LogitChange(logs[0][:, np.newaxis], (logs[1] - logs[0])[:, np.newaxis])
    p, q = made.p[:, 0], made.q[:, 0]
    means = [(law * values).sum(axis=1, keepdims=True) for law in (p, q)]
    variances = [
        (law * np.square(values - mean)).sum(axis=1)
        for law, mean in zip((p, q), means, strict=True)
    ]
    variance = np.maximum(np.maximum(*variances), 1e-300)
    kl = forward_kl(made)[:, 0]
    apart = p * np.expm1(np.minimum(made.centred[:, 0] - kl[:, np.newaxis], 700.0))  # q − p
    distance2 = np.square((apart * (values - values[:, :1])).sum(axis=1))
    # The digits of the means and of the variances are lost where p or q is nearly certain.
    lost = 1 + 1e-3 / np.minimum(1.0, np.minimum(*variances) / np.square(np.ptp(values, axis=1)))
    yield "two-point law", two_point_kl(distance2, variance), kl, (1 + kl) * lost
    yield "Cor. 2.6", corollary_2_6(distance2, sum(variances)), kl, (1 + kl) * lost
    upper = two_point_distance2(kl, variance)
    yield "two-point law, inverted", distance2, upper, distance2 * lost * (1 + kl)


SEARCHES = (of_logits, of_layers, of_chains, of_laws)


def worst(checks: Iterator[Check]) -> Iterator[tuple[str, int, float, float]]:
    """Say of each check how many cases there were, and how the worst one broke or met its bound."""
    for name, low, high, size in checks:
        with np.errstate(invalid="ignore"):
            excess = np.where(np.isposinf(high), -np.inf, low - high)
        if np.isnan(excess).any():
            yield name, low.size, np.inf, np.inf
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                relative = np.where(excess > 0, excess / (_ROUNDING * size + 1e-300), 0.0)
            yield name, low.size, float(excess.max()), float(relative.max())


def search(cases: int, seed: int, batch: int = 20_000) -> dict[str, tuple[int, float, float]]:
    """Draw at least so many cases for each bound: by its name, how many, and the worst of them.

    The last number is above 1 where a bound is broken by more than rounding.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[int, float, float]] = {}
    drawn = 0
    while drawn < cases:
        for of in SEARCHES:
            for name, count, excess, relative in worst(of(rng, min(batch, cases))):
                before = found.get(name, (0, -np.inf, 0.0))
                found[name] = (
                    before[0] + count,
                    max(before[1], excess),
                    max(before[2], relative),
                )
        drawn += min(batch, cases)
    return found


def main() -> None:
    """Search, and print a line for each bound; the exit status is 1 if one is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = search(options.cases, options.seed)
    print("| bound | cases | largest excess | in units of rounding |\n|---|---|---|---|")
    for name, (count, excess, relative) in found.items():
        print(f"| {name} | {count} | {excess:.2e} | {relative:.3f} |")
    sys.exit(any(relative > 1 for _, _, relative in found.values()))


if __name__ == "__main__":
    main()
