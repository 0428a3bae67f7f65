"""Count the published studies again and set their tables in the pages: `python docs/findings.py`.

It reads what is published of every study under docs/results (`published.py`), counts it, writes the
tables and the figure of the agreement anew, makes the page docs/findings-tables/STUDY.md of them, and sets
the list of these pages in docs/findings-tables.md and the shortest tables in docs/findings.md. `python
docs/findings.py STUDY ...` first takes the measures, bounds and conditions of these studies from
results/STUDY, which snakemake made.
"""

import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parent))
import published
import regime
from finished import finished

from ap3.explaining.yardsticks import CEILING, LOOKUP
from ap3.figures import save
from ap3.figures.agreement import draw
from ap3.measuring import catalogue
from ap3.measuring.bounds import BOUNDS

DOCS = Path(__file__).parent
PAGE = DOCS / "findings.md"
TABLES = DOCS / "findings-tables.md"
STUDIES = DOCS / "findings-tables"
BOUNDS_TABLE = "bounds_summary"
SCOPE_ALL = "layers_summary"  # where the whole network was fine-tuned
LEVEL = 0.05

NAMES = {measure.column: measure.name for measure in (*catalogue.MEASURES, *catalogue.YARDSTICKS)}
MEASURES = {name: said for name, said in NAMES.items() if name not in published.ALIASES}
MEASURES["ap2"] = "AP2 = relative distance = AP3 Gaussian"
CANDIDATES = {name: said for name, said in MEASURES.items() if name not in (LOOKUP, CEILING)}
BETWEEN = NAMES | {"ap3_gaussian": "AP3 Gaussian = 1.9 × relative AP2"}
BETWEEN = {
    name: BETWEEN[name]
    for name in (
        "ap2",
        "ap3_gaussian",
        "ap3_nondiagonal",
        "ap3_student_t",
        "ap3_fisher",
        "kl_predictions",
    )
}
SHORT = ("ap2", "ap3_student_t", "ap3_fisher", "kl_predictions", LOOKUP, CEILING)
PHASES = {"before": ("baseline", 0), "after": ("baseline", -1), "after, control": ("control", -1)}
SIGNS = {"": "absolute", "_signed": "signed"}


def main(studies: list[str]) -> None:
    """Take the studies named from results, and count all that are published."""
    for study in studies:
        take(study)
    folders = sorted(path.parent for path in (DOCS / "results").glob("*/measures.csv.*"))
    told = {folder.name: count(folder) for folder in folders}
    page = replaced(PAGE.read_text(encoding="utf-8"), "short", short(told))
    measures = {study: tables["measures"] for study, tables in told.items()}
    page = replaced(page, "regime", regime.table(measures))
    PAGE.write_text(page, encoding="utf-8")
    page = replaced(TABLES.read_text(encoding="utf-8"), "studies", listed(measures))
    TABLES.write_text(page, encoding="utf-8")
    STUDIES.mkdir(exist_ok=True)
    for study, tables in told.items():
        page = "\n\n".join(sections(study, tables)) + "\n"
        (STUDIES / f"{study}.md").write_text(page, encoding="utf-8")


def take(study: str) -> None:
    """Publish the measures, the noise, the bounds and the conditions of a finished study."""
    source, folder = finished(study), DOCS / "results" / study
    published.pack(study, source, folder)
    for name in (BOUNDS_TABLE, SCOPE_ALL):
        if (source / f"tables/{name}.csv").exists():
            table = pd.read_csv(source / f"tables/{name}.csv")
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.5g")
    if (source / "figures/bounds.png").exists():
        shutil.copy(source / "figures/bounds.png", folder / "bounds.png")
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy"))
    measures = pd.read_csv(folder / "measures.csv.xz")
    where = f"{platform.machine()} ({published.processor()})"
    said = f"{size(measures)}\n\n{packages}, {where}, made by study `{study}`.\n"
    (folder / "conditions.md").write_text(said, encoding="utf-8")


def count(folder: Path) -> dict[str, pd.DataFrame]:
    """Count a published study, write its tables and its figure, and return what is told of it."""
    measures, tables = published.recounted(folder)
    published.write(folder, tables)
    with tempfile.TemporaryDirectory() as place:
        save(draw(tables["agreement"]), Path(place) / "agreement.pdf", folder / "agreement.png")
        if (folder / "agreement.pdf").exists():
            shutil.copy(Path(place) / "agreement.pdf", folder / "agreement.pdf")
    told = {"measures": measures} | tables
    for name in (BOUNDS_TABLE, SCOPE_ALL):
        if (folder / f"{name}.csv").exists():
            told[name] = pd.read_csv(folder / f"{name}.csv")
    return told


def size(measures: pd.DataFrame) -> str:
    """Say how much was run."""
    runs = measures.drop_duplicates(["dataset", "model", "trial"])
    pairs = runs.drop_duplicates(["dataset", "model"])
    networks = ", ".join(f"{row.model} on {row.dataset}" for row in pairs.itertuples())
    weights = " to ".join(f"{n:,}" for n in sorted({runs["weights"].min(), runs["weights"].max()}))
    examples = measures.iloc[0]
    several = "s" * (len(pairs) > 1)
    return (
        f"{len(pairs)} network{several} ({networks}), {len(runs)} baselines in all, {weights} weights in "
        f"the last layer; {examples['train_examples']:,} training and "
        f"{examples['test_examples']:,} test examples; {measures['epoch'].max()} epochs of "
        "fine-tuning."
    )


def listed(measures: dict[str, pd.DataFrame]) -> str:
    """List the studies, each with a link to its page and how much was run."""
    lines = [
        f"- [`{study}`](findings-tables/{study}.md): {size(each)}"
        for study, each in measures.items()
    ]
    return "\n".join(lines)


def sections(study: str, tables: dict[str, pd.DataFrame]) -> Iterator[str]:
    """Lay out the page of one study."""
    summary, measures = tables["agreement_summary"], tables["measures"]
    yield f"# Tables of study `{study}`"
    yield (
        "After this page you know how every measure orders the networks of this study. What all studies "
        "come to, and how it is counted, stands in [Findings](../findings.md)."
    )
    yield size(measures)
    yield f"![agreement](../results/{study}/agreement.png)"
    yield "## What fine-tuning moves"
    yield along(measures)
    if SCOPE_ALL in tables:
        yield layers(tables[SCOPE_ALL])
    yield "## Agreement"
    yield decided(tables)
    yield agreement(summary, "all")
    yield agreement(summary, "modes")
    yield "## Between look-up and ceiling"
    yield places(summary)
    yield "## Gains"
    yield gains(summary, "gain", "AP2")
    yield gains(summary, "over_lookup", "the look-up")
    yield "## Between networks"
    yield between(measures)
    yield "## Contrasts"
    yield contrasts(tables["contrast_summary"])
    yield "## Choice of a ratio"
    yield choices(tables["choice_summary"])
    if BOUNDS_TABLE in tables:
        yield "## Bounds"
        yield bounds(tables[BOUNDS_TABLE])


def short(told: dict[str, dict[str, pd.DataFrame]]) -> str:
    """Put the main numbers of all studies side by side."""
    rows: dict[str, dict[str, str]] = {}
    certain = []
    for study, tables in told.items():
        summary = tables["agreement_summary"]
        for phase, sign in [(phase, sign) for phase in PHASES for sign in SIGNS]:
            row = rows.setdefault(f"`{study}`, {phase}, {SIGNS[sign]} PD", {})
            for name in SHORT:
                found = chosen(summary, "agreement", name, f"test_pd_loss{sign}", "all", phase)
                row[NAMES[name]] = spread(found["mean"])
        for statistic, rival in (("gain", "AP2"), ("over_lookup", "the look-up")):
            known = tests(summary, statistic, [f"test_pd_loss{sign}" for sign in SIGNS])
            if known.empty:  # a single trial
                continue
            sure = known[known["holm"] < LEVEL]
            better = int((sure["mean"] > 0).sum())
            certain.append(
                f"- `{study}`, over {rival}: {len(sure)} of {len(known)} gains are certain, "
                f"{better} of them above zero and {len(sure) - better} below;"
            )
    title = (
        "Share of pairs, of any two variants of one baseline, in which the smaller measure has the "
        "smaller PD of the test loss; mean over the networks, in brackets their range:"
    )
    tested = (
        "Gains that are certain, absolute and signed PD together, each after Holm's correction:"
    )
    lines = "\n".join(certain)[:-1]
    return f"{title}\n\n{markdown(pd.DataFrame(rows).T, 'study')}\n\n{tested}\n\n{lines}."


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
    told = []
    for difference, what in (
        ("test_pd_loss", "test loss, absolute"),
        ("test_pd_loss_signed", "signed"),
        ("test_pd_accuracy", "test accuracy, absolute"),
        ("test_pd_accuracy_signed", "signed"),
    ):
        before, after = (
            chosen(summary, "decided", "ap2", difference, "all", phase)["mean"].mean()
            for phase in ("before", "after")
        )
        told.append(f"{before:.1f} before and {after:.1f} after fine-tuning ({what})")
    pairs = variants * (variants - 1) // 2
    return (
        f"Of the {pairs} pairs of variants of a baseline, so many have PDs that the examples tell "
        f"apart, on average: {', '.join(told)}."
    )


def chosen(
    summary: pd.DataFrame, statistic: str, measure: str, difference: str, among: str, phase: str
) -> pd.DataFrame:
    """Rows of the networks for one cell of a table."""
    reference, end = PHASES[phase]
    epochs = summary["epoch"].min(), summary["epoch"].max()
    return summary[
        (summary["statistic"] == statistic)
        & (summary["measure"] == measure)
        & (summary["pd"] == difference)
        & (summary["among"] == among)
        & (summary["reference"] == reference)
        & (summary["epoch"] == epochs[end])
    ]


def cells(names: dict[str, str]) -> list[tuple[str, str, str]]:
    """Go through measures and columns: measure, phase, sign."""
    return [(name, phase, sign) for name in names for phase in PHASES for sign in SIGNS]


def tabulated(rows: dict[str, dict[str, str]]) -> str:
    """Write a table of measures, without those of which nothing is known."""
    known = {name: row for name, row in rows.items() if set(row.values()) != {"–"}}
    return markdown(pd.DataFrame(known).T, "measure")


def agreement(summary: pd.DataFrame, among: str) -> str:
    """Mean pair agreement over the networks, with the range of the networks' own means."""
    rows: dict[str, dict[str, str]] = {}
    for name, phase, sign in cells(MEASURES):
        found = chosen(summary, "agreement", name, f"test_pd_loss{sign}", among, phase)
        turned = int(found["flips"].sum())
        mark = f" ⇄{turned}" if turned and not sign else ""
        row = rows.setdefault(MEASURES[name], {})
        row[f"{phase}: {SIGNS[sign]}"] = spread(found["mean"]) + mark
    what = {"all": "any two variants", "modes": "two **modes at one ratio**"}[among]
    return (
        f"Share of pairs, of {what}, in which the smaller measure has the smaller PD of the test loss; "
        "mean over the networks, in brackets their range; ⇄ with the number of networks in which |PD| "
        f"and the signed PD lie on opposite sides of ½:\n\n{tabulated(rows)}"
    )


def places(summary: pd.DataFrame) -> str:
    """Place of the measures between look-up and ceiling, median over the networks."""
    rows: dict[str, dict[str, str]] = {}
    for name, phase, sign in cells(CANDIDATES):
        found = chosen(summary, "agreement", name, f"test_pd_loss{sign}", "all", phase)["place"]
        found = found.dropna()
        told = f"{found.median():+.2f} ({len(found)})" if len(found) else "–"
        rows.setdefault(MEASURES[name], {})[f"{phase}: {SIGNS[sign]}"] = told
    if {told for row in rows.values() for told in row.values()} == {"–"}:
        return "No measure is placed between look-up and ceiling: one is not known, or they are too near."
    return (
        "What that is worth: 0 is the look-up of mode and ratio, which sees no weight, 1 is the noise "
        "ceiling; any two variants, median over the networks (in brackets how many have more than "
        f"a hundredth between the two):\n\n{tabulated(rows)}"
    )


def gains(summary: pd.DataFrame, statistic: str, rival: str) -> str:
    """Agreement less that of a rival, and in how many networks it is certain after Holm."""
    if summary["n"].max() < 2:
        return f"No gain over {rival} is tested: that takes two trials."
    rows: dict[str, dict[str, str]] = {}
    for name, phase, sign in cells(CANDIDATES):
        found = chosen(summary, statistic, name, f"test_pd_loss{sign}", "all", phase)
        rows.setdefault(MEASURES[name], {})[f"{phase}: {SIGNS[sign]}"] = gain(found)
    found = [tests(summary, statistic, [f"test_pd_loss{sign}"])["holm"] for sign in SIGNS]
    counts = " and ".join(f"{(each < LEVEL).sum()} of {len(each)}" for each in found)
    return (
        f"Gain over {rival} in that share, among any two variants (mean over the networks; in brackets "
        "the networks in which it is certainly above and below zero: Student's t over the trials, after "
        f"Holm's correction over all tests of |PD|, and all of the signed PD; {counts} are certain):"
        f"\n\n{tabulated(rows)}"
    )


def tests(summary: pd.DataFrame, statistic: str, differences: list[str]) -> pd.DataFrame:
    """Take the tests of any two variants, each once.

    What AP2's aliases and, before fine-tuning, the control give is AP2 and the baseline again.
    """
    again = summary["measure"].isin(published.ALIASES) | (
        (summary["reference"] == "control") & (summary["epoch"] == 0)
    )
    chosen = (summary["statistic"] == statistic) & (summary["among"] == "all")
    return summary[chosen & summary["pd"].isin(differences) & ~again].dropna(subset="holm")


def gain(found: pd.DataFrame) -> str:
    """Write a mean gain with the networks in which it is certainly up or down."""
    found = found.dropna(subset="mean")
    if found.empty:
        return "–"
    certain = found[found["holm"] < LEVEL]["mean"]
    return f"{found['mean'].mean():+.3f} ({(certain > 0).sum()}↑ {(certain < 0).sum()}↓)"


def between(measures: pd.DataFrame) -> str:
    """Compare variants of different networks, where the unit of a measure counts."""
    pruned = measures[measures["mode"] != "control"]
    rows: dict[str, dict[str, str]] = {}
    pairs = []
    for phase, epoch in (("before", pruned["epoch"].min()), ("after", pruned["epoch"].max())):
        trials = pruned[pruned["epoch"] == epoch].groupby(["dataset", "trial"])
        for measure, sign in [(name, sign) for name in BETWEEN if name in pruned for sign in SIGNS]:
            counts = np.array([pairs_between(rows, measure, sign) for _, rows in trials])
            right, decided = counts.sum(axis=0)
            if decided:
                deciding = counts[counts[:, 1] > 0]
                shares = deciding[:, 0] / deciding[:, 1]
                told = f"{right / decided:.3f} ({shares.min():.2f}–{shares.max():.2f})"
                rows.setdefault(measure, {})[f"{phase}: {SIGNS[sign]}"] = told
            if measure == "ap2" and not sign:
                pairs.append(f"{int(decided):,} {phase}")
    if not rows:
        return "Nothing is said of pairs between networks: there is one network on each data set."
    title = (
        "The same share among pairs of variants of **different networks** on one data set, trained "
        "in the same trial, by the PD of the test loss; all trials together, in brackets the "
        f"trials' range; {' and '.join(pairs)} pairs further apart by |PD| than 1.96 √(se₁² + se₂²):"
    )
    table = pd.DataFrame({BETWEEN[name]: rows[name] for name in BETWEEN if name in rows}).T
    return f"{title}\n\n{markdown(table, 'measure')}"


def pairs_between(rows: pd.DataFrame, measure: str, sign: str) -> tuple[float, int]:
    """Of the pairs of one trial that are decided, how many a measure orders right; and how many."""
    first, second = np.triu_indices(len(rows), 1)
    model = pd.factorize(rows["model"])[0]
    values, size, error = (
        rows[name].to_numpy() for name in (measure, f"test_pd_loss{sign}", "test_pd_loss_se")
    )
    gap = size[first] - size[second]
    decided = np.abs(gap) > norm.isf(LEVEL / 2) * np.hypot(error[first], error[second])
    decided &= (model[first] != model[second]) & ~np.isnan(values[first] - values[second])
    same = np.sign(values[first] - values[second]) * np.sign(gap)
    return float((0.5 + 0.5 * same[decided]).sum()), int(decided.sum())


def contrasts(summary: pd.DataFrame) -> str:
    """Contrast of highest over lowest, in decades and in standard deviations over the trials."""
    measures = ["ap2", "ap3_nondiagonal", "ap3_student_t", "ap3_fisher", "kl_predictions"]
    measures += ["test_pd_loss", "test_pd_loss_signed"]
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
            ).replace("nan", "–")
            for name, part in by
        }
    names = MEASURES | {"ap2": "AP2 = AP3 Gaussian", "test_pd_loss": "absolute PD of the test loss"}
    names["test_pd_loss_signed"] = "signed PD, where both are damage"
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
    for measure, name in CANDIDATES.items():
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
        f"(modes × trials × networks), and how many lose no more than {100 * tolerance:g} point of "
        "test accuracy:"
    )
    return f"{title}\n\n{markdown(pd.DataFrame(rows).T, 'measure')}"


def bounds(summary: pd.DataFrame) -> str:
    """How often the bounds of the isotropic law fail, and how far they are off."""
    rows = {}
    for bound, name in BOUNDS.items():
        mine = summary[(summary["law"] == "gaussian") & (summary["bound"] == bound)]
        if mine.empty:
            continue
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


def replaced(page: str, name: str, text: str) -> str:
    """Put `text` between the marks of a name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    return re.sub(pattern, lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)


if __name__ == "__main__":
    main(sys.argv[1:])
