"""The published agreement of a study: of all pairs, how many a measure orders as the PD does."""

from functools import cache
from typing import Any

import pandas as pd
import published

from ap3.measuring import catalogue
from said.tables import LEVEL, LOSS, RESULTS, SIGNED, cell, rows, rows_of, studies_with, table, word

AP3 = (
    *(one.column for one in catalogue.MEASURES if one.law and one.column not in published.ALIASES),
    "kronecker_fisher",
)
"""Measures that are an AP3 and do not order as AP2 does."""

STUDIES = studies_with("agreement_summary")


def last(study: str) -> int:
    """Return the epoch at the end of fine-tuning."""
    return int(table(study, "agreement_summary")["epoch"].max())


def counted(study: str, **where: Any) -> pd.DataFrame:
    """Choose what a study has of AP2's agreement over all pairs after fine-tuning, by network.

    It is by the signed PD of the test loss and from the baseline; `where` says what is otherwise.
    """
    usual = {"measure": "ap2", "pd": SIGNED, "among": "all", "statistic": "agreement"}
    usual |= {"reference": "baseline", "epoch": last(study)}
    return rows(study, "agreement_summary", **usual | where).set_index("model")


def of_studies(measure: str, pd_: str) -> list[float]:
    """Return the means over the networks of each study that knows them, before fine-tuning."""
    means = [counted(study, measure=measure, pd=pd_, epoch=0)["mean"].mean() for study in STUDIES]
    return [mean for mean in means if pd.notna(mean)]


@cache
def recounted(study: str) -> pd.DataFrame:
    """Count the agreement of every training again, from the published measures."""
    return published.recounted(RESULTS / study)[1]["agreement"]


def of_trainings(study: str, pd_: str) -> pd.DataFrame:
    """Count for each training how many pairs are decided after fine-tuning, and how many AP2 has right."""
    found = rows_of(recounted(study), measure="ap2", pd=pd_, among="all", reference="baseline")
    found = found[found["epoch"] == last(study)]
    return found.assign(right=(found["agreement"] * found["decided"]).fillna(0))


def amount(found: pd.DataFrame) -> str:
    """Say how many of the decided pairs are ordered right."""
    right, of_all = round(found["right"].sum()), round(found["decided"].sum())
    return {of_all: "all", 0: "none"}.get(right, word(right))


def tests(study: str, statistic: str, **where: Any) -> pd.DataFrame:
    """Take the tests of a gain, each once: before fine-tuning the control is the baseline."""
    found = rows(study, "agreement_summary", statistic=statistic, **where).dropna(subset="holm")
    return found[(found["reference"] == "baseline") | (found["epoch"] > 0)].assign(study=study)


def certain(statistic: str, **where: Any) -> pd.DataFrame:
    """Take the gains of all studies that are certain."""
    found = pd.concat(tests(study, statistic, **where) for study in STUDIES)
    return found[found["holm"] < LEVEL]


def by_test_loss(found: pd.DataFrame) -> pd.DataFrame:
    """Take the rows by the test loss, absolute and signed."""
    return found[found["pd"].isin([LOSS, SIGNED])]


def networks(found: pd.DataFrame) -> pd.DataFrame:
    """Name the networks that rows are of."""
    return found[["study", "model"]].drop_duplicates()


def agreement(study: str, **where: Any) -> float:
    """Return the share of all pairs that a measure orders right."""
    return cell("mean", study, "agreement_summary", statistic="agreement", among="all", **where)
