"""Compare a study with what the paper says of its curves: `python docs/orderings.py MEASURES.csv`.

The paper's text names, for its figures of AP2 and PD, in which order the curves lie; it prints no
numbers. This counts in how many pairs of curves AP2 and PD lie in the same order, one pair a
fine-tuning epoch and trial, with PD as Def. 2.8 has it, the absolute difference of the accuracies,
and signed, positive where accuracy is lost. Pairs of equal PD say nothing and are left out; how many
that are is printed.
"""

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pandas as pd

FIGURES = {"alexnet": "8 and 9", "resnet50": "2, 4 and 10", "vgg16": "3, 4 and 11"}
MODES = ("lowest", "random", "highest")

# What is compared: the mode within which ratios are, or None for modes at one ratio; and Sec. 5.2
# in our words.
STATEMENTS = {
    "ratios, highest": "a larger ratio has the larger AP2 and the larger PD",
    "ratios, random": "a larger ratio has the larger AP2 and the larger PD",
    "ratios, lowest": "the same with exceptions; PD at 0.3 and 0.5 within ten points",
    "modes": "lowest, random, highest: AP2 and PD in one order, with exceptions",
}


def main() -> None:
    """Print a table in Markdown for the measures of a study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measures", type=Path, help="results/STUDY/tables/measures.csv")
    path = parser.parse_args().measures
    if not path.is_file():
        parser.error(f"{path} does not exist; make it first: snakemake --cores all STUDY")
    table = pd.read_csv(path)
    head = ["network", "the paper's figures", "curves", "the paper", "split", "PD, absolute"]
    for row in [[*head, "PD, signed"], ["---"] * 7, *rows(table)]:
        print(f"| {' | '.join(row)} |")


def rows(table: pd.DataFrame) -> Iterator[list[str]]:
    """Go through networks, statements and splits; shares are means over trials, with their range."""
    table = table[(table["mode"] != "control") & (table["epoch"] > 0)]
    for (dataset, model), network in table.groupby(["dataset", "model"]):
        for statement, words in STATEMENTS.items():
            for split in ("test", "train"):
                columns = [f"{split}_pd_accuracy", f"{split}_pd_accuracy_signed"]
                shares = [_shares(network, statement, column) for column in columns]
                yield [
                    f"{model} on {dataset}",
                    FIGURES.get(model, "none"),
                    statement,
                    words,
                    split,
                    *(_told(*each) for each in shares),
                ]


def _shares(network: pd.DataFrame, statement: str, pd_column: str) -> tuple[pd.Series, float]:
    """Count, by trial, the share of pairs in which AP2 and PD lie in one order, and equal PDs."""
    what, _, mode = statement.partition(", ")
    curve, others = ("ratio", "mode") if what == "ratios" else ("mode", "ratio")
    chosen = network[network["mode"] == mode] if mode else network[network["mode"].isin(MODES)]
    curves = chosen.pivot_table(
        index=["trial", others, "epoch"], columns=curve, values=["ap2", pd_column]
    )
    pairs = list(combinations(curves["ap2"].columns, 2))
    rises = {
        column: pd.concat([_rise(curves[column], *pair) for pair in pairs])
        for column in ("ap2", pd_column)
    }
    is_told = rises[pd_column] != 0
    same = (rises["ap2"] * rises[pd_column] > 0)[is_told]
    return same.groupby("trial").mean(), float((~is_told).mean())


def _rise(curves: pd.DataFrame, first: str, second: str) -> pd.Series:
    return curves[second] - curves[first]


def _told(shares: pd.Series, equal: float) -> str:
    if shares.empty:
        return ""
    spread = f"{shares.min():.2f}–{shares.max():.2f}, n = {len(shares)}"
    return f"{shares.mean():.2f} ({spread}; {equal:.0%} equal)"


if __name__ == "__main__":
    main()
