"""docs/findings-masks.md: what measures say among networks of one ratio."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from said.sentences import Said, said
from said.tables import LEVEL, LOSS, SIGNED, cell, plain, rows, table, word

PAGE = "findings-masks.md"
SECTIONS = ("Masks of one ratio",)
GIVEN = (
    r"95 % interval",
    r"Eq\. 5 at the trained weights",
    r"Σ of Sec\. 2 has",
    r"1 − √\(1 − AP2 ÷ ‖ω‖²\)",
    r"1 − CKA",
    r"100 group means",
    r"at ratio 0\.5 on the digits",
)

DIGITS, FASHION = "masks", "fashion_masks"
TOGETHER = {DIGITS: "all", FASHION: "small_vgg"}


def sentences() -> Iterator[Said]:
    """Say every number of the page, from the tables."""
    yield from conditions()
    yield from digits()
    yield from fashion()
    yield from fisher()
    yield from outputs()
    yield from after()
    yield from turned()


def conditions() -> Iterator[Said]:
    """Say how many masks, criteria and epochs both studies have."""
    masks = in_both(lambda draws: len(drawn(draws)))
    criteria = in_both(lambda draws: len(modes(draws) - drawn(draws) - {"lowest", "highest"}))
    yield said(
        "At each ratio a {} random masks of the last layer are drawn beside that of mode `random`, "
        "{} in all, and beside `lowest` and `highest` stand {} criteria",
        word(masks - 1),
        f"{masks}",
        word(criteria),
    )
    yield said("before fine-tuning and after {} epochs of it", word(last_epoch()))
    names = [*table(DIGITS, "within_summary")["statistic"].unique()]
    kendalls = sum(name.startswith("kendall_") for name in names)
    yield said("The granulated τ is the mean of {} Kendall coefficients", word(kendalls))


def digits() -> Iterator[Said]:
    """Say what the study on the digits has trained."""
    count = table(DIGITS, "draws")["model"].nunique()
    yield said(
        "Study `masks`: the {} networks of the demo, {} trainings of each",
        word(count),
        word(trainings(DIGITS)),
    )


def fashion() -> Iterator[Said]:
    """Say what the study on Fashion-MNIST has trained, and on how many images it is judged."""
    (images,) = table(FASHION, "draws")["test_examples"].unique()
    yield said(
        "the small VGG on Fashion-MNIST, {} trainings, judged on {} test images",
        word(trainings(FASHION)),
        plain(images, 0),
    )


def fisher() -> Iterator[Said]:
    """Say what the Fisher law adds before fine-tuning."""
    yield said(
        "ρ of AP3 Fisher with the damage is {} where AP2's is {} on the digits, and {} where it is {} "
        "on Fashion-MNIST, given mode and ratio",
        *(rho(study, name) for study in TOGETHER for name in ("ap3_fisher", "ap2")),
    )


def outputs() -> Iterator[Said]:
    """Say what measures of outputs know before fine-tuning."""
    yield said(
        "comes near a perfect order** (ρ {} and {})",
        *(rho(study, "kl_predictions") for study in TOGETHER),
    )
    yield said(
        "the change of the logits has {} and {}, 1 − CKA {} and {}.",
        *(rho(study, name) for name in ("output_change", "cka_distance") for study in TOGETHER),
    )


def after() -> Iterator[Said]:
    """Say what is left after fine-tuning."""
    yield said("After {} epochs of fine-tuning the test examples", word(last_epoch()))
    found = tests(DIGITS, SIGNED, epoch=last_epoch())
    better = found[(found["gain"] > 0) & (found["holm"] < LEVEL)]
    yield said(
        "**{} measure is certainly better than AP2** on the digits",
        word(better["measure"].nunique()),
    )
    yield said(
        "the mean slope, which sees labels and outputs, still has ρ = {}, not certain",
        rho(FASHION, "mean_slope", last_epoch()),
    )


def turned() -> Iterator[Said]:
    """Say how many gains |PD| and the signed PD put on opposite sides of zero on Fashion-MNIST."""
    absolute, signed = side(LOSS), side(SIGNED)
    above = absolute[(absolute > 0) & (signed < 0)].reset_index()
    below = absolute[(absolute < 0) & (signed > 0)].reset_index()
    yield said(
        "improvement as a difference, {} gains over AP2 in ρ turn over: {} of measures of the outputs lie "
        "above zero that are below it by the signed PD, and {}, of the magnitude pruned and of 1 − CKA, "
        "the other way",
        word(len(above) + len(below)),
        word((above["sees"] == "outputs").sum()),
        word(below["measure"].isin(["magnitude_pruned", "cka_distance"]).sum()),
    )


def tests(study: str, difference: str, **where: Any) -> pd.DataFrame:
    """Choose the rows of all networks of a study together, by the PD from the baseline."""
    about = {"model": TOGETHER[study], "reference": "baseline", "pd": difference}
    return rows(study, "within_summary", **about, **where)


def rho(study: str, measure: str, epoch: int = 0) -> str:
    """Write Spearman's ρ with the signed PD, given mode and ratio."""
    about = {"model": TOGETHER[study], "reference": "baseline", "pd": SIGNED}
    about |= {"statistic": "partial_rho", "measure": measure, "epoch": epoch}
    return plain(cell("mean", study, "within_summary", **about))


def side(difference: str) -> pd.Series:
    """Sign of every gain in ρ among random masks, 0 where its interval has zero in it."""
    found = tests(FASHION, difference, statistic="rho", among="masks")
    found = found.set_index(["epoch", "ratio", "measure", "sees"])
    certain = found["gain_low"] * found["gain_high"] > 0
    return np.sign(found["gain"]) * certain


def in_both(count: Callable[[pd.DataFrame], int]) -> int:
    """Count something that both studies have as often."""
    (found,) = {count(table(study, "draws")) for study in TOGETHER}
    return found


def modes(draws: pd.DataFrame) -> set[str]:
    """Name the modes that prune."""
    return {*draws["mode"]} - {"control"}


def drawn(draws: pd.DataFrame) -> set[str]:
    """Name the modes that are random masks."""
    return {mode for mode in modes(draws) if mode.startswith("random")}


def trainings(study: str) -> int:
    """Count the trainings of each network, as many of every one."""
    (found,) = {*table(study, "draws").groupby("model")["trial"].nunique()}
    return found


def last_epoch() -> int:
    """Return the last epoch of fine-tuning, the same in both studies."""
    return in_both(lambda draws: draws["epoch"].max())
