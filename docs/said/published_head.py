"""docs/findings-published-head.md: what grouping does to a published last layer."""

from collections.abc import Iterator
from math import ceil

import pandas as pd

from said.sentences import Said, said
from said.tables import cell, percent, plain, table, word

PAGE = "findings-published-head.md"
SECTIONS = ("What grouping does to a published last layer",)
GIVEN = (
    r"law of Sec\. 5\.3, which",
    r"means of 100 groups of its weights",
    r"with more than 100 weights",
)

STUDY = "efficientnet_head"
GROUPED, GROUPS = "ap3_student_t", 100
LAST = "_fc.weight"


def sentences() -> Iterator[Said]:
    """Say every number of the page, from the tables."""
    weights = cell("weights", STUDY, "published_layers", layer=LAST)
    yield said(
        "{} layers with more than 100 weights, the last with {}.",
        f"{len(table(STUDY, 'published_layers'))}",
        plain(weights, 0),
    )
    yield said("in groups of {} weights that does not average out", plain(weights / GROUPS, 0))
    yield said(
        "its weights are skewed (skewness {}): {} % are below zero",
        plain(cell("skewness", STUDY, "published_layers", layer=LAST)),
        percent(cell("negative", STUDY, "published_layers", layer=LAST)),
    )
    yield from grouped()
    yield from other_laws()


def grouped() -> Iterator[Said]:
    """Say how far the grouped law puts each ratio."""
    most = path("lowest", GROUPED).index[-2]
    yield said(
        "half the weights gone is {} nats, {} % is {}, and all of them is {}.",
        plain(nats("lowest", 0.5), 0),
        percent(most),
        plain(nats("lowest", most), 0),
        plain(nats("all", 1), 1),
    )
    start, *_, end = turned_round("highest")
    yield said(
        "the order is reversed from {} to {} %: a tenth gone is {} nats, {} % is {}.",
        percent(start),
        percent(end),
        plain(nats("highest", 0.1), 0),
        percent(end),
        plain(nats("highest", end), 1),
    )


def other_laws() -> Iterator[Said]:
    """Say what the laws without groups do."""
    laws = [name for name in table(STUDY, "published_head") if name.startswith("ap3_")]
    ordered = [law for law in laws if all(rises(mode, law) for mode in modes())]
    yield said("AP2 and the {} other laws order the ratios as one expects", word(len(ordered)))
    head = table(STUDY, "published_head")
    off = (head["ap3_nondiagonal"] / head["ap3_gaussian"] - 1).abs().max()
    yield said("differs from AP3 Gaussian by less than {} percent", word(ceil(100 * off)))


def nats(mode: str, ratio: float) -> float:
    """Return the grouped law's AP3 of the last layer."""
    return cell(GROUPED, STUDY, "published_head", mode=mode, ratio=ratio)


def modes() -> list[str]:
    """Name the modes that prune a part of the layer."""
    return [name for name in table(STUDY, "published_head")["mode"].unique() if name != "all"]


def path(mode: str, measure: str) -> pd.Series:
    """Return a measure by the ratio, from the least that is pruned to all."""
    head = table(STUDY, "published_head")
    return head[head["mode"].isin([mode, "all"])].set_index("ratio")[measure].sort_index()


def rises(mode: str, measure: str) -> bool:
    """Say whether a measure is larger the more is pruned."""
    return bool((path(mode, measure).diff().dropna() > 0).all())


def turned_round(mode: str) -> list[float]:
    """List the ratios beside which the grouped law falls as more is pruned."""
    found = path(mode, GROUPED)
    return [*found.index[(found.diff() < 0) | (found.diff(-1) > 0)]]
