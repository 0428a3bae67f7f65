"""What fine-tuning does to the networks of a study: gained by the control, and by pruned ones.

How a claim about |PD| fares depends on it: a study whose baselines still learn is of another regime
than one whose baselines have converged.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

REGIMES = ("just trained", "converged", "pretrained")
MORE = {
    "fashion_converged": "converged",
    "fashion_converged_all": "converged",
    "pretrained": "pretrained",
    "pretrained_all": "pretrained",
}
"""The studies of which the baselines are more than just trained."""

HEAD = (
    "study",
    "network",
    "n",
    "control gains, points",
    "better in accuracy",
    "better in loss",
    "AP2 grows",
    "\\|PD\\| falls",
)
_TRAINING = ["dataset", "model", "trial"]


def of(study: str) -> str:
    """Name the regime of a study, one of REGIMES."""
    return MORE.get(study, REGIMES[0])


def table(measures: Mapping[str, pd.DataFrame]) -> str:
    """Lay out the measures of studies, by name: a row for each network.

    The control's gain is in points of test accuracy, mean ± standard deviation over trials if there are two.
    Of all pruned networks after fine-tuning it counts those better than their baseline, on the test split, and
    those of which AP2 grew, or |PD| of the test loss fell, from before fine-tuning to its end.
    """
    rows = [row for study, found in measures.items() for row in _rows(study, found)]
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rows(study: str, measures: pd.DataFrame) -> Iterator[list[str]]:
    for (dataset, model), rows in measures.groupby(["dataset", "model"], sort=True):
        first, last = (_at(rows, rows["epoch"] == epoch) for epoch in (0, rows["epoch"].max()))
        gains = -100 * last[last["mode"] == "control"]["test_pd_accuracy_signed"]
        pruned = last["mode"] != "control"
        before, after = first[pruned], last[pruned]
        yield [
            f"`{study}`",
            f"{model} on {dataset}",
            str(len(gains)),
            f"{gains.mean():.2f}" + f" ± {gains.std():.2f}" * (len(gains) > 1),
            *(
                _share(one)
                for one in (
                    after["test_pd_accuracy_signed"] < 0,
                    after["test_pd_loss_signed"] < 0,
                    after["ap2"] > before["ap2"],
                    after["test_pd_loss"] < before["test_pd_loss"],
                )
            ),
        ]


def _at(rows: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    """Take the rows of one epoch, in an order that is the same at every epoch."""
    keys = [*_TRAINING, "mode", "ratio"]
    return rows[chosen].sort_values(keys).reset_index(drop=True)


def _share(true: pd.Series) -> str:
    return f"{int(true.sum())} of {len(true)}"
