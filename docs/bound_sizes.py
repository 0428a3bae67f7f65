"""Say how far the bounds are from what they bound: `python docs/bound_sizes.py demo=results/demo`.

Takes tables/bounds.csv of finished studies, each as NAME=FOLDER, keeps what the page cites in
docs/results/bounds/bound_sizes.csv, and sets the tables between the marks of docs/theory.md anew. A study
that is not named stays as it is stored.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ap3.measuring.bounds import BOUNDS, ON_TEST
from ap3.measuring.direct_bounds import DIRECT
from ap3.measuring.two_point import two_point_distance2, two_point_kl

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
from finished import finished  # noqa: E402

PAGE = DOCS / "theory.md"
STORED = DOCS / "results" / "bounds" / "bound_sizes.csv"
LAW = "gaussian"
PHASES = {"before": "before fine-tuning", "after": "after"}

Ratios = Callable[[pd.DataFrame], pd.Series]

NOT_PD: dict[str, Ratios] = {
    "eq4": lambda rows: rows["eq4"] / rows["epsilon"],
    "cor26": lambda rows: rows["cor26"] / rows["epsilon"],
    "cor26_sharp": lambda rows: (
        two_point_kl(rows["ap2"], 1 / rows["precision_min"]) / rows["epsilon"]
    ),
    "eq16_printed": lambda rows: rows["eq16_printed"] / rows["ap2"],
    "eq16": lambda rows: rows["eq16"] / rows["ap2"],
    "eq16_sharp": lambda rows: (
        two_point_distance2(rows["epsilon"], 1 / rows["precision_min"]) / rows["ap2"]
    ),
}
"""Bound ÷ what it bounds, where that is not the PD."""

STATEMENTS = (
    ("Eq. 4", "ε", "eq4", "eq4", "eq4"),
    ("Cor. 2.6", "ε, from below", "cor26", "cor26", "cor26_sharp"),
    ("Eq. 16", "‖Δ‖²", "eq16_printed", "eq16", "eq16_sharp"),
    ("Lemma 3.1", "PD", "lemma31_printed", "lemma31", "two_point"),
    ("Cor. 3.2", "PD", "cor32_printed", "cor32", "lipschitz"),
    ("Thm 3.5, last layer", "PD", "", "chain", "chain"),
    ("Thm 3.6", "PD", "", "along_fine_tuning", "along_fine_tuning"),
    ("Def. 2.2, predictive law", "PD", "", "predictive", "best"),
)
"""A statement, what it bounds, and columns: as printed, as it holds, and the sharpest known here."""


def main() -> None:
    """Keep what is named, and set the page's tables."""
    studies = stored()
    for argument in sys.argv[1:]:
        name, _, folder = argument.partition("=")
        source = finished(Path(folder).name, Path(folder).parent)
        studies[name] = sizes_of(pd.read_csv(source / "tables" / "bounds.csv"))
    table = pd.concat([sizes.assign(study=name) for name, sizes in sorted(studies.items())])
    STORED.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(STORED, index=False, float_format="%.4g", lineterminator="\n")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"The tables of {', '.join(sorted(studies))} stand in {PAGE} and in {STORED}.")


def stored() -> dict[str, pd.DataFrame]:
    """Read what is stored, by study."""
    if not STORED.is_file():
        return {}
    return dict(iter(pd.read_csv(STORED).groupby("study")))


def sizes_of(bounds: pd.DataFrame) -> pd.DataFrame:
    """Take the median of bound ÷ what it bounds over all pruned variants, networks and trials."""
    rows = bounds[(bounds["law"] == LAW) & (bounds["mode"] != "control")]
    ratios = {name: rows[f"{name}_over_pd"] for name in (*BOUNDS, *ON_TEST)}
    ratios |= {name: of(rows) for name, of in NOT_PD.items()}
    phase = np.where(rows["epoch"] == 0, *PHASES)
    found = []
    for name, values in ratios.items():
        lower = name.startswith("cor26")
        for each in PHASES:
            chosen = values[(phase == each) & values.notna()]
            fails = (chosen > 1 + 1e-6).sum() if lower else (chosen < 1 - 1e-6).sum()
            ends = {"min": chosen.min(), "median": chosen.median(), "max": chosen.max()}
            about = {"bound": name, "phase": each, "n": len(chosen), "failing": fails}
            found.append(about | {"silent": np.isinf(chosen).sum()} | ends)
    return pd.DataFrame(found)


def with_tables(page: str) -> str:
    """Return the page with its tables as the results have them."""
    studies = stored()
    tables = {"statements": statement_lines(studies), "direct": direct_lines(studies)}
    for name, lines in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n" + "".join(f"{line}\n" for line in lines) + f"\n{end}{after}"
    return page


def statement_lines(studies: dict[str, pd.DataFrame]) -> Iterator[str]:
    """Set every statement as printed, as it holds and as it is sharp, in Markdown."""
    heads = [f"{what}, `{name}`" for name in studies for what in ("printed", "holds", "sharp")]
    yield f"| statement | of | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 2) + "|"
    for statement, of, *columns in STATEMENTS:
        cells = [_cell(sizes, column) for sizes in studies.values() for column in columns]
        yield f"| {statement} | {of} | {' | '.join(cells)} |"


def direct_lines(studies: dict[str, pd.DataFrame]) -> Iterator[str]:
    """Set the bounds that need no law, of both splits, in Markdown."""
    heads = [f"{split}, `{name}`" for name in studies for split in ("training", "test")]
    yield f"| bound | fails | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 2) + "|"
    for column, title in DIRECT.items():
        both = [f"{column}{suffix}" for suffix in ("", "_test")]
        counted = pd.concat(sizes[sizes["bound"].isin(both)] for sizes in studies.values())
        cells = [_cell(sizes, name) for sizes in studies.values() for name in both]
        fails = f"{counted['failing'].sum()} of {counted['n'].sum():,}"
        yield f"| {title} | {fails} | {' | '.join(cells)} |"


def _cell(sizes: pd.DataFrame, column: str) -> str:
    """Write the median before and after fine-tuning, and how often the bound fails if it does."""
    if not column:
        return "–"
    rows = sizes[sizes["bound"] == column].set_index("phase")
    medians = " · ".join(_short(rows.loc[phase, "median"]) for phase in PHASES)
    failing = rows["failing"].sum()
    return medians + (f" ({failing} of {rows['n'].sum():,} fail)" if failing else "")


def _short(value: float) -> str:
    if np.isinf(value):
        return "∞"
    if 0.01 <= value < 1000:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    exponent = int(np.floor(np.log10(value)))
    return f"{value / 10**exponent:.1f}e{exponent}"


if __name__ == "__main__":
    main()
