"""Bring studies of random masks into docs/: `python docs/masks.py masks fashion_masks`.

For each study it reads results/STUDY, writes what docs/findings-masks.md cites to docs/results/STUDY
(the measures of every mask to nine digits, the summary within ratios, the figure), and sets the tables
between the marks `<!-- STUDY -->` and `<!-- end of STUDY -->` of the page anew.
"""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from ap3.explaining.within_summary import ALL
from ap3.measuring import catalogue

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
from finished import finished  # noqa: E402

PAGE = DOCS / "findings-masks.md"
PD = "test_pd_loss_signed"
PDS = (PD, "test_pd_loss", "test_pd_accuracy_signed", "test_pd_accuracy")
PUBLISHED = (*PDS, "train_pd_loss_signed", "train_pd_loss")
ALIASES = ("relative_frobenius", "ap3_gaussian")  # of AP2: they rank alike
LEVEL = 0.05


def main(studies: list[str], results: Path = Path("results")) -> None:
    """Bring every study named into the page."""
    page = PAGE.read_text(encoding="utf-8")
    for study in studies:
        keep(finished(study, results), DOCS / "results" / study)
        page = replaced(page, study, sections(DOCS / "results" / study))
    PAGE.write_text(page, encoding="utf-8")


def keep(source: Path, target: Path) -> None:
    """Write what is published of a study."""
    target.mkdir(parents=True, exist_ok=True)
    summary = pd.read_csv(source / "tables/within_summary.csv", keep_default_na=False, na_values="")
    summary = summary[summary["pd"].isin(PUBLISHED)]
    write(summary, target / "within_summary.csv.gz", "%.6g")
    parts = [pd.read_csv(path) for path in sorted(source.glob("*/*/trial*/draws.csv"))]
    write(pd.concat(parts, ignore_index=True), target / "draws.csv.gz", "%.9g")
    for kind in ("png", "pdf"):
        shutil.copy(source / f"figures/within.{kind}", target / f"within.{kind}")


def write(table: pd.DataFrame, path: Path, digits: str) -> None:
    """Write a table compressed, the same bytes for the same table."""
    how = {"method": "gzip", "mtime": 0, "compresslevel": 9}
    table.to_csv(path, index=False, float_format=digits, compression=how)


def replaced(page: str, study: str, text: str) -> str:
    """Set what stands between the marks of a study."""
    marks = f"<!-- {study} -->", f"<!-- end of {study} -->"
    pattern = re.escape(marks[0]) + ".*?" + re.escape(marks[1])
    return re.sub(pattern, lambda _: f"{marks[0]}\n\n{text}\n\n{marks[1]}", page, flags=re.DOTALL)


def sections(folder: Path) -> str:
    """Lay out the tables of a published study."""
    summary = pd.read_csv(folder / "within_summary.csv.gz", keep_default_na=False, na_values="")
    measures = pd.read_csv(folder / "draws.csv.gz")
    several = summary["model"] == ALL
    shown = summary[several] if several.any() else summary
    parts = [
        conditions(measures, summary),
        verdict(shown),
        ranks(shown),
        pairs(shown),
        flips(shown),
    ]
    return "\n\n".join(parts)


def conditions(measures: pd.DataFrame, summary: pd.DataFrame) -> str:
    """Say how many baselines, variants, weights, examples and decided pairs there are."""
    baselines = measures.groupby("model")["trial"].nunique()
    pruned = measures[measures["mode"] != "control"]
    drawn = pruned["mode"].str.startswith("random")
    one = pruned.groupby(["model", "trial", "epoch", "ratio"])
    weights = sorted(set(measures["weights"]))
    test = measures["test_examples"].iloc[0]
    whose = ", ".join(f"{model} × {count}" for model, count in baselines.items())
    accuracy = measures[(measures["mode"] == "control") & (measures["epoch"] == 0)]["test_accuracy"]
    text = (
        f"{baselines.sum()} baselines ({whose}), {' or '.join(f'{n:,}' for n in weights)} weights in "
        f"the last layer, test accuracy {accuracy.min():.3f} to {accuracy.max():.3f} on {test:,} "
        f"images; at each ratio {drawn.sum() // len(one)} random masks and "
        f"{(~drawn).sum() // len(one)} masks of criteria. "
    )
    told = summary[(summary["statistic"] == "decided") & (summary["among"] == "masks")]
    told = told[(told["pd"] == PD) & (told["reference"] == "baseline") & (told["measure"] == "ap2")]
    told = told[told["model"] != ALL]
    count = drawn.sum() // len(one)
    share = told.groupby("epoch")["mean"].mean() / (count * (count - 1) / 2)
    first, last = share.index.min(), share.index.max()
    return text + (
        f"The examples decide {share[first]:.0%} of the pairs of random masks of a ratio by the test loss "
        f"before fine-tuning, and {share[last]:.0%} after {last} epochs of it."
    )


def verdict(summary: pd.DataFrame) -> str:
    """Name the measures that add order beyond AP2, and those that have less, by their intervals."""
    rows = summary[(summary["pd"] == PD) & (summary["reference"] == "baseline")]
    rows = rows[(rows["statistic"] == "rho") & (rows["among"] == "masks")]
    lines = []
    for phase, epoch in zip(("Before", "After"), sorted(rows["epoch"].unique()), strict=False):
        of_phase = rows[rows["epoch"] == epoch].groupby("measure")
        low, high = of_phase["gain_low"].min(), of_phase["gain_high"].max()
        above, below = low[low > 0].index, high[high < 0].index
        corrected = of_phase["holm"].max()
        certain = corrected[corrected < LEVEL].index.intersection(above)
        lines.append(
            f"- {phase} fine-tuning, more order than AP2 at every ratio, by the interval of the gain: "
            f"{_names(above)}; after Holm's correction: {_names(certain)}; less at every ratio: "
            f"{_names(below)}."
        )
    return "\n".join(lines)


def _names(columns: pd.Index) -> str:
    there = [one.name for one in catalogue.MEASURES if one.column in columns]
    return "; ".join(there) if there else "none"


def ranks(summary: pd.DataFrame) -> str:
    """Tell Spearman's ρ among the masks of each ratio, and the partial ρ."""
    ratios = sorted(summary.loc[summary["among"] == "masks", "ratio"].unique())
    wanted = [("rho", ratio) for ratio in ratios] + [("partial_rho", np.nan)]
    heads = [*(f"ρ at {ratio:g}" for ratio in ratios), "ρ given mode and ratio"]
    title = "Spearman's ρ with the signed PD of the test loss among random masks of one ratio:"
    return _table(summary, title, wanted, heads, "masks")


def pairs(summary: pd.DataFrame) -> str:
    """Tell the share of decided pairs, and the granulated Kendall coefficient."""
    ratios = sorted(summary.loc[summary["among"] == "masks", "ratio"].unique())
    wanted = [("agreement", ratio) for ratio in ratios] + [("kendall", np.nan)]
    heads = [*(f"agreement at {ratio:g}" for ratio in ratios), "granulated τ"]
    title = "Share of decided pairs in which the smaller measure has the smaller PD, and the granulated "
    title += "Kendall coefficient:"
    return _table(summary, title, wanted, heads, "masks")


def flips(summary: pd.DataFrame) -> str:
    """Say where |PD| and the signed PD put a measure on different sides of AP2, both clearly."""
    chosen = summary[(summary["statistic"] == "rho") & (summary["among"] == "masks")]
    chosen = chosen[chosen["reference"] == "baseline"]
    side = np.sign(chosen["gain"]) * (
        np.sign(chosen["gain_low"]) * np.sign(chosen["gain_high"]) > 0
    )
    chosen = chosen.assign(side=side)
    keys = ["model", "epoch", "ratio", "measure"]
    one = chosen[chosen["pd"] == "test_pd_loss"].set_index(keys)["side"]
    two = chosen[chosen["pd"] == PD].set_index(keys)["side"]
    turned = (one * two.reindex(one.index) < 0).sum()
    return (
        f"By |PD| and by the signed PD of the test loss {turned} of {len(one)} gains over AP2 in ρ lie on "
        "opposite sides of zero with both intervals clear of it."
    )


def _table(
    summary: pd.DataFrame, title: str, wanted: list[tuple[str, float]], heads: list[str], among: str
) -> str:
    rows = summary[(summary["pd"] == PD) & (summary["reference"] == "baseline")]
    epochs = sorted(rows["epoch"].unique())
    phases = ["before", "after"][: len(epochs)]
    columns = [f"{head}, {phase}" for phase in phases for head in heads]
    lines = [
        title,
        "",
        f"| measure | sees | {' | '.join(columns)} |",
        "|---" * (2 + len(columns)) + "|",
    ]
    for measure in catalogue.MEASURES:
        own = rows[rows["measure"] == measure.column]
        if measure.column in ALIASES or not len(own):
            continue
        cells = [
            _cell(own, statistic, ratio, epoch, among)
            for epoch in epochs
            for statistic, ratio in wanted
        ]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {measure.name} | {measure.sees} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rows: pd.DataFrame, statistic: str, ratio: float, epoch: int, among: str) -> str:
    chosen = rows[(rows["statistic"] == statistic) & (rows["epoch"] == epoch)]
    chosen = (
        chosen[chosen["ratio"].isna()]
        if np.isnan(ratio)
        else chosen[(chosen["ratio"] == ratio) & (chosen["among"] == among)]
    )
    if not len(chosen):
        return "–"
    row = chosen.iloc[0]
    text = f"{row['mean']:.2f}".replace("-", "−")
    if np.isfinite(row["low"]):
        ends = (f"{row[end]:.2f}".replace("-", "−") for end in ("low", "high"))
        text += f" ({' to '.join(ends)})"
    if row["gain_low"] > 0:
        text += " ▲"
    elif row["gain_high"] < 0:
        text += " ▼"
    return text + ("*" if row["holm"] < LEVEL else "")


if __name__ == "__main__":
    main(sys.argv[1:] or ["masks", "fashion_masks"])
