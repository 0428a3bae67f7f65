"""Bring the tables of finished studies into docs/: `python docs/findings.py demo replicates`.

For each study it reads results/STUDY/tables, writes what docs/findings.md cites to
docs/results/STUDY, with the figures and the conditions, and sets the tables between the marks
`<!-- STUDY -->` and `<!-- end of STUDY -->` of docs/findings.md anew.
"""

import platform
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ap3.measuring.bounds import BOUNDS

DOCS = Path(__file__).parent
PAGE = DOCS / "findings.md"
COPIED = ("agreement_summary", "contrast_summary", "choice_summary", "bounds_summary", "baselines")
SCOPE_ALL = "layers_summary"  # where the whole network was fine-tuned
ALIASES = ("relative_frobenius", "ap3_gaussian")  # of AP2
LEFT_OUT = {"pd": ["train_pd_accuracy"], "statistic": ["rho"], "measure": list(ALIASES)}

MEASURES = {
    "ratio": "ratio pruned",
    "magnitude_pruned": "magnitude pruned",
    "ap2": "AP2 = relative distance = AP3 Gaussian",
    "cosine_distance": "cosine distance",
    "ap3_nondiagonal": "AP3 non-diagonal",
    "ap3_student_t": "AP3 Student-t, 100 groups",
    "ap3_fisher": "AP3 Fisher",
    "ap3_fisher_diagonal": "AP3 diagonal Fisher",
    "taylor": "Taylor, second order",
    "kl_predictions": "KL of predictions",
}
BETWEEN = {
    "ap2": "AP2",
    "ap3_gaussian": "AP3 Gaussian = 1.9 × relative AP2",
    "ap3_nondiagonal": "AP3 non-diagonal",
    "ap3_student_t": "AP3 Student-t, 100 groups",
    "ap3_fisher": "AP3 Fisher",
    "kl_predictions": "KL of predictions",
}
PHASES = {"before": ("baseline", 0), "after": ("baseline", -1), "after, control": ("control", -1)}


def main(studies: list[str]) -> None:
    """Bring every study named into the page."""
    page = PAGE.read_text(encoding="utf-8")
    for study in studies:
        tables = read(study)
        keep(study, tables)
        page = replaced(page, study, "\n\n".join(sections(study, tables)))
    PAGE.write_text(page, encoding="utf-8")


def read(study: str) -> dict[str, pd.DataFrame]:
    """Read a study's summaries, and what its measures say of its size."""
    folder = Path("results") / study / "tables"
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in COPIED}
    tables["measures"] = pd.read_csv(folder / "measures.csv")
    if (folder / f"{SCOPE_ALL}.csv").exists():
        tables[SCOPE_ALL] = pd.read_csv(folder / f"{SCOPE_ALL}.csv")
    return tables


def keep(study: str, tables: dict[str, pd.DataFrame]) -> None:
    """Write the summaries, rounded, without repetitions, and the conditions to docs/results."""
    folder = DOCS / "results" / study
    folder.mkdir(parents=True, exist_ok=True)
    for name in tables.keys() - {"measures"}:
        table = tables[name]
        for column, values in LEFT_OUT.items():
            if column in table:
                table = table[~table[column].isin(values)]
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.5g")
    for figure in ("agreement.png", "bounds.png"):
        shutil.copy(Path("results") / study / "figures" / figure, folder / figure)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy"))
    conditions = f"{size(tables)}\n\n{packages}, {platform.machine()}, made by study `{study}`.\n"
    (folder / "conditions.md").write_text(conditions, encoding="utf-8")


def size(tables: dict[str, pd.DataFrame]) -> str:
    """Say how much was run."""
    measures = tables["measures"]
    runs = measures.drop_duplicates(["dataset", "model", "trial"])
    pairs = runs.drop_duplicates(["dataset", "model"])
    networks = ", ".join(f"{row.model} on {row.dataset}" for row in pairs.itertuples())
    weights = " to ".join(f"{n:,}" for n in sorted({runs["weights"].min(), runs["weights"].max()}))
    examples = measures.iloc[0]
    return (
        f"{len(pairs)} networks ({networks}), {len(runs)} baselines in all, {weights} weights in "
        f"the last layer; {examples['train_examples']:,} training and "
        f"{examples['test_examples']:,} test examples; {measures['epoch'].max()} epochs of "
        "fine-tuning."
    )


def sections(study: str, tables: dict[str, pd.DataFrame]) -> list[str]:
    """Return the text and the tables of one study."""
    depth = [layers(tables[SCOPE_ALL])] if SCOPE_ALL in tables else []
    return [
        f"![agreement](results/{study}/agreement.png)",
        size(tables),
        along(tables["measures"]),
        *depth,
        decided(tables),
        agreement(tables["agreement_summary"], "test_pd_loss"),
        agreement(tables["agreement_summary"], "test_pd_accuracy"),
        gains(tables["agreement_summary"]),
        between(tables["measures"]),
        contrasts(tables["contrast_summary"]),
        choices(tables["choice_summary"]),
        bounds(tables["bounds_summary"]),
    ]


def along(measures: pd.DataFrame) -> str:
    """Say how AP2 and PD move while a pruned network is fine-tuned."""
    pruned = measures[measures["mode"] != "control"]
    variants = pruned.groupby(["dataset", "model", "trial", "mode", "ratio"])
    kinds = {"train_pd_loss": "training loss", "test_pd_loss": "test loss"}
    kinds["test_pd_accuracy"] = "test accuracy"
    first, last = (getattr(variants[["ap2", *kinds]], end)() for end in ("first", "last"))
    grown = last["ap2"] > first["ap2"]
    falls = [
        f"{(grown & (last[name] < first[name])).sum()} (PD of the {what})"
        for name, what in kinds.items()
    ]
    return (
        f"From just pruned to the end of fine-tuning AP2 grows in {grown.sum()} of {len(grown)} "
        f"variants; meanwhile the PD falls in {', '.join(falls)} of those. Spearman's ρ of AP2 "
        "and the PD of the training loss over the epochs of one variant, mean by mode: "
        f"{over_epochs(variants)}."
    )


def over_epochs(variants: Any) -> str:
    """Correlate AP2 with the PD along the fine-tuning of each variant; the mean for each mode."""
    names = ["ap2", "train_pd_loss"]
    rho = variants[names].apply(lambda rows: rows.rank().corr().iloc[0, 1])
    means = rho.groupby("mode", sort=False).mean()
    return ", ".join(f"{mode} {value:+.2f}" for mode, value in means.items())


def layers(summary: pd.DataFrame) -> str:
    """Say how AP3 goes from each layer of a network to the next (Lemma 3.3)."""
    rho = summary.groupby(["dataset", "model", "layer"])["rho"].mean()
    return (
        f"Between neighbouring layers, {len(rho)} pairs of them, Spearman's ρ of AP3 over variants "
        f"and epochs is {rho.mean():+.2f} ({rho.min():+.2f} to {rho.max():+.2f}); the later "
        f"layer's AP3 is the larger in {summary['larger'].mean():.0%}."
    )


def decided(tables: dict[str, pd.DataFrame]) -> str:
    """Say how many pairs of variants the noise of the examples leaves to be counted."""
    measures, summary = tables["measures"], tables["agreement_summary"]
    variants = len(measures[measures["mode"] != "control"].drop_duplicates(["mode", "ratio"]))
    chosen = summary[
        (summary["statistic"] == "decided")
        & (summary["measure"] == "ap2")
        & (summary["reference"] == "baseline")
        & (summary["among"] == "all")
    ]
    ends = chosen["epoch"].min(), chosen["epoch"].max()
    told = []
    for difference, what in (("test_pd_loss", "loss"), ("test_pd_accuracy", "accuracy")):
        mine = chosen[chosen["pd"] == difference]
        before, after = (mine.loc[mine["epoch"] == end, "mean"].mean() for end in ends)
        told.append(f"{before:.1f} before and {after:.1f} after fine-tuning (test {what})")
    pairs = variants * (variants - 1) // 2
    return (
        f"Of the {pairs} pairs of variants of a baseline, so many have PDs further apart than their "
        f"paired standard error, on average: {', '.join(told)}."
    )


def agreement(summary: pd.DataFrame, difference: str) -> str:
    """Mean pair agreement over the networks, with the range of the networks' own means."""
    chosen = summary[(summary["statistic"] == "agreement") & (summary["pd"] == difference)]
    ends = {0: chosen["epoch"].min(), -1: chosen["epoch"].max()}
    rows = {}
    for measure, name in MEASURES.items():
        row = {}
        for phase, (reference, end) in PHASES.items():
            for among in ("modes", "all"):
                found = chosen[
                    (chosen["measure"] == measure)
                    & (chosen["reference"] == reference)
                    & (chosen["epoch"] == ends[end])
                    & (chosen["among"] == among)
                ]["mean"]
                row[f"{phase}: {'modes' if among == 'modes' else 'any two'}"] = spread(found)
        rows[name] = row
    what = "loss" if difference.endswith("loss") else "accuracy"
    title = f"Share of pairs in which the smaller measure has the smaller PD of the **test {what}**"
    return f"{title}:\n\n{markdown(pd.DataFrame(rows).T, 'measure')}"


def gains(summary: pd.DataFrame) -> str:
    """Agreement less that of AP2, and in how many networks its interval leaves zero out."""
    chosen = summary[(summary["statistic"] == "gain") & (summary["among"] == "all")]
    ends = {0: chosen["epoch"].min(), -1: chosen["epoch"].max()}
    rows: dict[str, dict[str, str]] = {}
    for measure, name in MEASURES.items():
        for difference, what in (("train_pd_loss", "train"), ("test_pd_loss", "test")):
            for phase, (reference, end) in PHASES.items():
                found = chosen[
                    (chosen["measure"] == measure)
                    & (chosen["reference"] == reference)
                    & (chosen["epoch"] == ends[end])
                    & (chosen["pd"] == difference)
                ]
                rows.setdefault(name, {})[f"{what}, {phase}"] = gain(found)
    del rows[MEASURES["ap2"]]
    kind = {
        "trials": "95 % bootstrap over the trials",
        "examples": "95 % paired bootstrap over the evaluated examples",
    }[summary["interval"].iloc[0]]
    title = (
        "Gain over AP2 in that share, among any two variants, by the PD of the training and of the "
        f"test loss (mean over the networks; in brackets the networks whose {kind} is above and "
        "below zero):"
    )
    return f"{title}\n\n{markdown(pd.DataFrame(rows).T, 'measure')}"


def gain(found: pd.DataFrame) -> str:
    """Write a mean gain with the networks in which it is sure to be up or down, where known."""
    found = found.dropna(subset="mean")
    if found.empty:
        return "–"
    if found["low"].isna().all():
        return f"{found['mean'].mean():+.3f}"
    up, down = (found["low"] > 0).sum(), (found["high"] < 0).sum()
    return f"{found['mean'].mean():+.3f} ({up}↑ {down}↓)"


def between(measures: pd.DataFrame) -> str:
    """Compare variants of different networks, where the unit of a measure counts."""
    pruned = measures[measures["mode"] != "control"]
    rows: dict[str, dict[str, str]] = {}
    pairs = []
    for phase, epoch in (("before", pruned["epoch"].min()), ("after", pruned["epoch"].max())):
        trials = pruned[pruned["epoch"] == epoch].groupby(["dataset", "trial"])
        for measure in BETWEEN.keys() & set(pruned):
            counts = np.array([pairs_between(rows, measure) for _, rows in trials])
            right, decided = counts.sum(axis=0)
            if decided:
                shares = (counts[:, 0] / counts[:, 1])[counts[:, 1] > 0]
                told = f"{right / decided:.3f} ({shares.min():.2f}–{shares.max():.2f})"
                rows.setdefault(measure, {})[phase] = told
            if measure == "ap2":
                pairs.append(f"{int(decided):,} {phase}")
    if not rows:
        return "Nothing is said of pairs between networks: there is one network on each data set."
    title = (
        "The same share among pairs of variants of **different networks** on one data set, trained "
        "in the same trial, by the PD of the test loss; all trials together, in brackets the "
        f"trials' range; {' and '.join(pairs)} pairs further apart than √(se₁² + se₂²):"
    )
    table = pd.DataFrame({BETWEEN[name]: rows[name] for name in BETWEEN if name in rows}).T
    return f"{title}\n\n{markdown(table, 'measure')}"


def pairs_between(rows: pd.DataFrame, measure: str) -> tuple[float, int]:
    """Of the pairs of one trial that are decided, how many a measure orders right; and how many."""
    first, second = np.triu_indices(len(rows), 1)
    model = pd.factorize(rows["model"])[0]
    values, size, error = (
        rows[name].to_numpy() for name in (measure, "test_pd_loss", "test_pd_loss_se")
    )
    gap = size[first] - size[second]
    decided = np.abs(gap) > np.hypot(error[first], error[second])
    decided &= (model[first] != model[second]) & ~np.isnan(values[first] - values[second])
    same = np.sign(values[first] - values[second]) * np.sign(gap)
    return float((0.5 + 0.5 * same[decided]).sum()), int(decided.sum())


def contrasts(summary: pd.DataFrame) -> str:
    """Contrast of highest over lowest, in decades and in standard deviations over the trials."""
    measures = ["ap2", "ap3_nondiagonal", "ap3_student_t", "ap3_fisher", "kl_predictions"]
    measures += ["test_pd_loss"]
    pair = summary[summary["mode"].isin(["highest", "lowest"])]
    pair = pair[pair["other"].isin(["highest", "lowest"]) & pair["measure"].isin(measures)]
    if pair.empty:
        return "Nothing is said of a contrast: `highest` and `lowest` are not both there."
    rows = {}
    for (epoch, ratio), mine in pair.groupby(["epoch", "ratio"]):
        by = mine.groupby("measure", sort=False)
        rows[f"{epoch}, {ratio:g}"] = {
            name: f"{part['mean'].abs().mean():.2f} ({part['deviations'].median():.0f})".replace(
                " (nan)", ""
            )
            for name, part in by
        }
    names = MEASURES | {"ap2": "AP2 = AP3 Gaussian", "test_pd_loss": "PD of the test loss"}
    table = pd.DataFrame(rows).T.reindex(columns=measures).rename(columns=names)
    title = (
        "Contrast between `highest` and `lowest` at one ratio, in powers of ten, mean over the "
        "networks (in brackets: in standard deviations over the trials, median over the networks):"
    )
    return f"{title}\n\n{markdown(table, 'epoch, ratio')}"


def choices(summary: pd.DataFrame) -> str:
    """Say what each measure would have chosen, over the networks."""
    if summary.empty:
        return "Nothing is said of the choice of a ratio: there is a single trial to learn from."
    rows = {}
    ends = sorted(summary["epoch"].unique())
    for measure, name in MEASURES.items():
        mine = summary[summary["measure"] == measure]
        if mine.empty:
            continue
        row = {}
        for phase, epoch in zip(("before", "after"), ends, strict=True):
            part = mine[mine["epoch"] == epoch]
            row[f"{phase}: ratio chosen"] = f"{part['chosen'].mean():.3f}"
            row[f"{phase}: safe"] = f"{part['safe'].mean():.0%}"
        rows[name] = row
    best = [summary.loc[summary["epoch"] == epoch, "best"].mean() for epoch in ends]
    n = int(summary[summary["measure"] == "ap2"].groupby("epoch")["n"].sum().iloc[0])
    rows["*the best there is*"] = {
        "before: ratio chosen": f"{best[0]:.3f}",
        "before: safe": "100%",
        "after: ratio chosen": f"{best[1]:.3f}",
        "after: safe": "100%",
    }
    tolerance = summary["tolerance"].iloc[0]
    title = (
        f"Largest ratio chosen by a threshold learned on the other trials, mean over {n} choices "
        f"(modes × trials × networks), and how many keep the PD of the test accuracy within "
        f"{100 * tolerance:g} point:"
    )
    return f"{title}\n\n{markdown(pd.DataFrame(rows).T, 'measure')}"


def bounds(summary: pd.DataFrame) -> str:
    """How often the bounds of the isotropic law fail, and how far they are off."""
    rows = {}
    for bound, name in BOUNDS.items():
        mine = summary[(summary["law"] == "gaussian") & (summary["bound"] == bound)]
        count = mine[["n", "failing", "infinite"]].sum()
        rows[name] = {
            "n": f"{count['n']:,}",
            "fails": f"{count['failing']:,}",
            "says nothing": f"{count['infinite']:,}",
            "least bound ÷ PD": f"{mine['min'].min():.2g}",
            "median (range over networks)": " to ".join(
                f"{value:.2g}" for value in (mine["median"].min(), mine["median"].max())
            ),
        }
    title = "The bounds under Σ = σ²I against the PD of the training loss, every variant and epoch:"
    return f"{title}\n\n{markdown(pd.DataFrame(rows).T, 'bound')}"


def spread(values: pd.Series) -> str:
    """Mean over the networks and, if they differ, their range; a dash if there are none."""
    values = values.dropna()
    if values.empty:
        return "–"
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return f"{values.mean():.3f}" + (f" ({low}–{high})" if low != high else "")


def markdown(table: pd.DataFrame, corner: str) -> str:
    """Write a table of texts in Markdown, a dash for what is missing."""
    table = table.astype(object).fillna("–")
    head = f"| {corner} | {' | '.join(map(str, table.columns))} |"
    lines = [
        f"| {name} | {' | '.join(row)} |"
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join([head, "|---" * (len(table.columns) + 1) + "|", *lines])


def replaced(page: str, study: str, text: str) -> str:
    """Put `text` between the marks of `study`; without marks, add a section at the end."""
    begin, end = f"<!-- {study} -->", f"<!-- end of {study} -->"
    section = f"{begin}\n{text}\n{end}"
    if begin not in page:
        return f"{page.rstrip()}\n\n## Study `{study}`\n\n{section}\n"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    return re.sub(pattern, lambda _: section, page, flags=re.DOTALL)


if __name__ == "__main__":
    main(sys.argv[1:])
