"""Set the table of README.md anew from docs/results: `python docs/reproduced.py`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parent
PAGE = DOCS.parent / "README.md"
BEGIN, END = "<!-- reproduced -->\n", "<!-- end of reproduced -->"
LEFT_OUT = ("demo",)  # the networks of `replicates` with fewer trials

PD = "test_pd_loss"
MEASURES = {"ap2": "AP2", "ap3_student_t": "AP3 Student-t", "ap3_fisher": "AP3 Fisher"}
HEAD = ["study", "network", "n", "test accuracy, %", "AP2, before"]
HEAD += [f"{name}, after" for name in MEASURES.values()] + ["AP2, after, from the control"]


def main() -> None:
    """Write the table into the page."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(page: str) -> str:
    """Return the page with a table as the results have it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    studies = sorted(path.parent.name for path in (DOCS / "results").glob("*/baselines.csv"))
    rows = [row for study in studies if study not in LEFT_OUT for row in _rows(study)]
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _rows(study: str) -> Iterator[list[str]]:
    folder = DOCS / "results" / study
    baselines = pd.read_csv(folder / "baselines.csv")
    accuracies = baselines[baselines["measure"] == "test_accuracy"]
    found = pd.read_csv(folder / "agreement_summary.csv")
    chosen = found[
        (found["pd"] == PD) & (found["among"] == "all") & (found["statistic"] == "agreement")
    ]
    for network in accuracies.itertuples():
        own = chosen[(chosen["dataset"] == network.dataset) & (chosen["model"] == network.model)]
        first, last = (
            own[own["epoch"] == own["epoch"].min()],
            own[own["epoch"] == own["epoch"].max()],
        )
        yield [
            f"`{study}`",
            f"{network.model} on {network.dataset}",
            str(network.n),
            _percent(network.mean, network.sd),
            _agreement(first, "ap2"),
            *(_agreement(last, measure) for measure in MEASURES),
            _agreement(last, "ap2", "control"),
        ]


def _agreement(rows: pd.DataFrame, measure: str, reference: str = "baseline") -> str:
    chosen = rows[(rows["measure"] == measure) & (rows["reference"] == reference)]
    (found,) = chosen.itertuples()
    return _percent(found.mean, found.sd)


def _percent(mean: float, sd: float) -> str:
    return f"{100 * mean:.1f} ± {100 * sd:.1f}"


if __name__ == "__main__":
    main()
