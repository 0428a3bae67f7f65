"""Set the table of README.md anew from docs/results: `python docs/reproduced.py`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import regime

DOCS = Path(__file__).parent
PAGE = DOCS.parent / "README.md"
BEGIN, END = "<!-- reproduced -->\n", "<!-- end of reproduced -->"
SIGNED, ABSOLUTE = "test_pd_loss_signed", "test_pd_loss"
COLUMNS = {
    "AP2, before": ("ap2", SIGNED, 0),
    "look-up, before": ("lookup", SIGNED, 0),
    "AP2, after, by absolute PD": ("ap2", ABSOLUTE, -1),
    "AP2, after": ("ap2", SIGNED, -1),
    "AP3 Student-t, after": ("ap3_student_t", SIGNED, -1),
    "AP3 Fisher, after": ("ap3_fisher", SIGNED, -1),
    "look-up, after": ("lookup", SIGNED, -1),
    "ceiling, after": ("ceiling", SIGNED, -1),
}
"""What stands in a column: a measure, a PD, and whether before fine-tuning or at its end."""
HEAD = ["regime", "study", "network", "n", "test accuracy, %", *COLUMNS]


def main() -> None:
    """Write the table into the page."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(page: str) -> str:
    """Return the page with a table as the results have it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    paths = (DOCS / "results").glob("*/agreement_summary.csv.gz")
    studies = sorted((path.parent.name for path in paths), key=_place)
    rows = [row for study in studies for row in _rows(study)]
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _place(study: str) -> tuple[int, str]:
    return regime.REGIMES.index(regime.of(study)), study


def _rows(study: str) -> Iterator[list[str]]:
    folder = DOCS / "results" / study
    baselines = pd.read_csv(folder / "baselines.csv")
    accuracies = baselines[baselines["measure"] == "test_accuracy"]
    found = pd.read_csv(folder / "agreement_summary.csv.gz")
    chosen = found[
        (found["among"] == "all")
        & (found["statistic"] == "agreement")
        & (found["reference"] == "baseline")
    ]
    for network in accuracies.itertuples():
        own = chosen[(chosen["dataset"] == network.dataset) & (chosen["model"] == network.model)]
        yield [
            regime.of(study),
            f"`{study}`",
            f"{network.model} on {network.dataset}",
            str(network.n),
            _percent(network.mean, network.sd),
            *(_agreement(own, network.n, *column) for column in COLUMNS.values()),
        ]


def _agreement(rows: pd.DataFrame, trials: int, measure: str, difference: str, end: int) -> str:
    epochs = sorted(set(rows["epoch"]))
    chosen = rows[(rows["measure"] == measure) & (rows["pd"] == difference)]
    (found,) = chosen[chosen["epoch"] == epochs[end]].itertuples()
    if not found.n:
        return "–"
    said = _percent(found.mean, found.sd)
    return said if found.n == trials else f"{said} ({found.n})"


def _percent(mean: float, sd: float) -> str:
    spread = "" if pd.isna(sd) else f" ± {100 * sd:.1f}"  # of one trial there is none
    return f"{100 * mean:.1f}{spread}"


if __name__ == "__main__":
    main()
