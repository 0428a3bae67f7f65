"""Networks with a planted truth: drawn, pruned in a known way, fine-tuned or not."""

from dataclasses import dataclass, field

import numpy as np

KINDS = (
    "untouched",
    "unstructured",
    "2:4",
    "rows zeroed",
    "columns zeroed",
    "heads zeroed",
    "channels removed",
    "dropped",
    "low rank",
    "quantised",
    "fine-tuned",
)


@dataclass
class Planted:
    """A baseline, what was made of it, and what is true of its middle layer."""

    kind: str
    is_fine_tuned: bool
    baseline: dict
    pruned: dict
    kept: dict = field(default_factory=dict)


def draw(kind, seed):
    """Draw a chain of layers, `first`, `attn.q_proj`, `last`, and treat it as `kind` says."""
    rng = np.random.default_rng(seed)
    width, inputs = int(rng.choice([32, 48, 64])), int(rng.choice([32, 64]))
    kernel = (3, 3) if rng.random() < 0.4 and kind != "heads zeroed" else ()
    shapes = {
        "first.weight": (inputs, int(rng.choice([16, 24])), *kernel),
        "attn.q_proj.weight": (width, inputs, *kernel),
        "last.weight": (10, width),
    }
    scale = 10 ** rng.uniform(-3, 1)
    one = {n: (rng.standard_normal(s) * scale).astype(np.float32) for n, s in shapes.items()}
    two = {name: value.copy() for name, value in one.items()}
    middle = "attn.q_proj.weight"
    kept = {}
    if kind == "unstructured":
        share = rng.uniform(0.05, 0.95)
        for value in two.values():
            value[
                rng.random(value.shape) < share if rng.random() < 0.5 else small(value, share)
            ] = 0
    elif kind == "2:4":
        two[middle] = two_of_four(two[middle])
    elif kind == "rows zeroed":
        two[middle][some(rng, width, 0.5)] = 0
    elif kind == "columns zeroed":
        two[middle][:, some(rng, inputs, 0.5)] = 0
    elif kind == "heads zeroed":
        heads = some(rng, width // 8, 0.5)
        two[middle].reshape(width // 8, 8, -1)[heads] = 0
    elif kind == "channels removed":
        hidden = np.setdiff1d(np.arange(inputs), some(rng, inputs, 0.6))
        out = np.setdiff1d(np.arange(width), some(rng, width, 0.6))
        kept = {"rows": out, "columns": hidden}
        two["first.weight"] = two["first.weight"][hidden]
        two[middle] = two[middle][out][:, hidden]
        two["last.weight"] = two["last.weight"][:, out]
    elif kind == "dropped":
        del two[middle]
    elif kind == "low rank":
        two[middle] = low_rank(two[middle], int(rng.integers(1, inputs // 2)))
    elif kind == "quantised":
        two[middle] = quantised(two[middle], int(rng.choice([4, 8])), rng.random() < 0.5)
    can_be_tuned = kind not in ("untouched", "dropped", "low rank", "quantised")
    tuned = kind == "fine-tuned" or (can_be_tuned and rng.random() < 0.5)
    if tuned:
        strength = 10 ** rng.uniform(-4, -1)
        for value in two.values():
            noise = rng.standard_normal(value.shape).astype(np.float32) * scale * strength
            value += noise * (value != 0)
    return Planted(kind, tuned, one, two, kept)


def some(rng, count, most):
    """Draw a few of `count` places, at least one, no more than a share of `most`."""
    return rng.choice(count, int(rng.integers(1, max(2, int(count * most)))), replace=False)


def small(value, share):
    return np.abs(value) <= np.quantile(np.abs(value), share)


def two_of_four(value):
    """Zero the two smallest of every four input weights."""
    last = np.moveaxis(value, 1, -1)
    groups = np.abs(last).reshape(-1, 4)
    keep = np.zeros_like(groups)
    np.put_along_axis(keep, groups.argsort(1)[:, 2:], 1, 1)
    return np.ascontiguousarray(np.moveaxis(last * keep.reshape(last.shape), -1, 1))


def low_rank(value, rank):
    u, s, v = np.linalg.svd(value.reshape(len(value), -1), full_matrices=False)
    return ((u[:, :rank] * s[:rank]) @ v[:rank]).astype(np.float32).reshape(value.shape)


def quantised(value, bits, is_per_row):
    """Round to an even grid, symmetric about 0, of the whole layer or of each row."""
    flat = value.reshape(len(value), -1)
    top = 2 ** (bits - 1) - 1
    scale = np.abs(flat).max(1 if is_per_row else None, keepdims=True) / top
    return (np.round(flat / scale) * scale).astype(np.float32).reshape(value.shape)
