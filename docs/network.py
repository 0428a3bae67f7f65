"""Bring studies over any layers into docs/: `python docs/network.py network [more studies]`.

For each study it reads results/STUDY/tables, keeps them, compressed, in docs/results/STUDY with the
figures, and sets the tables between the marks `<!-- STUDY -->` and `<!-- end of STUDY -->` of
docs/findings-network-tables.md anew.
"""

import gzip
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from ap3.measuring.network_catalogue import named

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
from finished import finished  # noqa: E402

PAGE = DOCS / "findings-network-tables.md"
TABLES = ("ranking", "ranking_summary", "additivity_summary", "size_summary")
SHOWN = (
    *("ratio", "ap2", "ap3_gaussian", "ap3_nondiagonal", "ap3_student_t"),
    *("ap3_gauss_newton_diagonal", "ap3_gauss_newton"),
    *("ap3_calibrated", "kl_single_layers", "kl_predictions", "ceiling"),
)
PD = "test_pd_loss"
FEW = 500
"""Pairs, below which nothing is said of additivity."""
STATES = {"kept": "kept", "estimated": "estimated again", "none": "–", "tuned": "tuned"}


def main(studies: list[str]) -> None:
    """Bring every study named into the page."""
    page = PAGE.read_text(encoding="utf-8")
    for study in studies:
        folder = finished(study)
        kept = DOCS / "results" / study
        kept.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            text = (folder / f"tables/{name}.csv").read_bytes()
            # Without a time in it, so that equal tables are equal files.
            (kept / f"{name}.csv.gz").write_bytes(gzip.compress(text, mtime=0))
        for figure in ("sensitivity", "prediction"):
            shutil.copy(folder / f"figures/{figure}.png", kept / f"{figure}.png")
        page = replaced(page, study, "\n\n".join(sections(study)))
    PAGE.write_text(page, encoding="utf-8")


def replaced(page: str, study: str, text: str) -> str:
    """Set what stands between the marks of a study."""
    start, end = f"<!-- {study} -->", f"<!-- end of {study} -->"
    if start not in page or end not in page:
        sys.exit(f"docs/findings-network-tables.md lacks the marks {start} and {end}; add them.")
    pattern = re.escape(start) + ".*?" + re.escape(end)
    return re.sub(pattern, lambda _: f"{start}\n\n{text}\n\n{end}", page, flags=re.DOTALL)


def sections(study: str) -> list[str]:
    """Lay out a study's tables."""
    tables = {
        name: read(study, name)
        for name in ("ranking_summary", "additivity_summary", "size_summary")
    }
    ranked = tables["ranking_summary"]
    modes = list(dict.fromkeys(ranked["mode"]))
    parts = []
    for mode in modes:
        about = f" ({mode})" if len(modes) > 1 else ""
        mine = ranked[(ranked["mode"] == mode) & (ranked["pd"] == PD)]
        for among, title in (
            ("within ratios", "Within one total ratio"),
            ("all", "Over all ratios"),
        ):
            chosen = mine[mine["among"] == among]
            if not chosen.empty:
                parts += [
                    f"**{title}{about}**: Spearman's ρ with the PD of the test loss, mean over "
                    "trainings (range).",
                    rho_table(chosen),
                ]
        chosen = mine[mine["among"] == "within ratios"]
        parts += [
            f"**ρ less that of AP2, within one total ratio{about}**: mean and 95 % interval over "
            "trainings (Student's t).",
            gain_table(chosen),
        ]
        added = tables["additivity_summary"]
        added = added[added["mode"] == mode]
        if added["pairs"].sum() >= FEW:
            parts += [
                f"**Additivity{about}**: of pairs of allocations of one total ratio, those that the sum "
                "over single layers orders wrongly (range over trainings); and median of together ÷ sum.",
                additivity_table(added),
            ]
        size = tables["size_summary"]
        size = size[size["mode"] == mode]
        if not size.empty:
            parts += [
                f"**Size of the damage{about}**: median |log₁₀(predicted ÷ measured)| on held-out "
                "allocations, mean and 95 % interval over trainings; coverage of 90 % intervals.",
                size_table(size),
            ]
    return parts


def read(study: str, name: str) -> pd.DataFrame:
    """Read a table of a finished study."""
    return pd.read_csv(Path("results") / study / f"tables/{name}.csv", keep_default_na=True).fillna(
        {"batch_norm": "none"}
    )


def places(table: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Name the rows of a table on the page: network, state of BatchNorm, epoch."""
    table = table.assign(epoch=table.get("epoch", 0))
    keys = table[["model", "batch_norm", "epoch"]].drop_duplicates()
    return [tuple(row) for row in keys.itertuples(index=False)]


def rho_table(table: pd.DataFrame) -> str:
    """Lay ρ out: a row for each network, a column for each measure."""
    lines = [heading("network", "BatchNorm", "epoch", "n", *(named(one).name for one in SHOWN))]
    for model, state, epoch in places(table):
        mine = of_place(table, model, state, epoch)
        mine = mine[mine["statistic"] == "rho"].set_index("measure")
        cells = [
            spanned(mine.loc[one], "mean", "min", "max", ".2f") if one in mine.index else ""
            for one in SHOWN
        ]
        lines.append(row(f"`{model}`", STATES[state], epoch, int(mine["n"].max()), *cells))
    return "\n".join(lines)


def gain_table(table: pd.DataFrame) -> str:
    """ρ less that of AP2."""
    shown = [one for one in SHOWN if one not in ("ap2", "ratio")]
    lines = [heading("network", "BatchNorm", "epoch", "n", *(named(one).name for one in shown))]
    for model, state, epoch in places(table):
        mine = of_place(table, model, state, epoch)
        mine = mine[mine["statistic"] == "gain"].set_index("measure")
        cells = [
            spanned(mine.loc[one], "mean", "low", "high", "+.2f") if one in mine.index else ""
            for one in shown
        ]
        lines.append(row(f"`{model}`", STATES[state], epoch, int(mine["n"].max()), *cells))
    return "\n".join(lines)


def additivity_table(table: pd.DataFrame) -> str:
    """Lay additivity out: a row for each network, a column for each interval of damage."""
    spans = table[["from", "to"]].drop_duplicates().itertuples(index=False)
    spans = [(low, high) for low, high in spans]
    names = [
        f"{low:g} to {high:g} nats" if high < 1e9 else f"above {low:g} nats" for low, high in spans
    ]
    lines = [heading("network", "BatchNorm", *names)]
    for model, state, _ in places(table):
        mine = table[(table["model"] == model) & (table["batch_norm"] == state)]
        cells = []
        for low, _ in spans:
            one = mine[mine["from"] == low].iloc[0]
            factor = 10 ** one["log10_together_to_sum"]
            shares = spanned(one, "share_wrong", "share_low", "share_high", ".0%")
            counted = f"{shares} of {int(one['pairs']):,}; × {factor:.2g}"
            cells.append(counted if one["pairs"] else "no pairs")
        lines.append(row(f"`{model}`", STATES[state], *cells))
    return "\n".join(lines)


def size_table(table: pd.DataFrame) -> str:
    """Lay sizes out: a row for each measure, for all networks together."""
    lines = [
        heading(
            "measure",
            "network",
            "BatchNorm",
            "epoch",
            "how",
            "decades",
            "coverage",
            "width, decades",
        )
    ]
    whole = table[table["model"] == "all networks"]
    whole = table if whole.empty else whole
    for one in SHOWN:
        for entry in whole[whole["measure"] == one].itertuples():
            covered = "" if pd.isna(entry.coverage) else f"{entry.coverage:.0%}"
            width = "" if pd.isna(entry.width) else f"{entry.width:.2f}"
            lines.append(
                row(
                    named(one).name,
                    entry.model,
                    STATES[entry.batch_norm],
                    entry.epoch,
                    entry.how,
                    spanned(entry._asdict(), "decades", "decades_low", "decades_high", ".2f"),
                    covered,
                    width,
                )
            )
    return "\n".join(lines)


def of_place(table: pd.DataFrame, model: str, state: str, epoch: int) -> pd.DataFrame:
    """Take the rows of one network, state of BatchNorm and epoch."""
    same = (table["model"] == model) & (table["batch_norm"] == state)
    return table[same & (table["epoch"] == epoch)]


def spanned(values: Any, middle: str, low: str, high: str, form: str) -> str:
    """Write a number with its range, where it has one."""
    text = f"{values[middle]:{form}}"
    if pd.isna(values[low]) or values[low] == values[high]:
        return text
    return f"{text} ({values[low]:{form}} to {values[high]:{form}})"


def heading(*names: str) -> str:
    """Begin a table."""
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def row(*cells: object) -> str:
    """Write one row."""
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main(sys.argv[1:])
