"""README.md: what survives, and what does not."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from said import masks
from said.agreement import AP3, certain, counted
from said.rankings import (
    ALL,
    AP2,
    CONVERGED,
    DIAGONAL,
    DIGITS,
    FASHION,
    GAUSSIAN,
    PRETRAINED,
    WITHIN,
    ranked,
)
from said.sentences import Said, said
from said.tables import (
    LITE,
    LOSS,
    RESNET,
    SHUFFLENET,
    SIGNED,
    cell,
    ends,
    percent,
    plain,
    rows,
    table,
    word,
)

PAGE = "../README.md"
SECTIONS = ("ap3",)  # the whole page
GIVEN = (
    r"Mozafarinia and Yasaei Sekeh, 2024",
    r"Every figure of the paper, 1 to 18",
    r"Python 3\.11",
    r"saves 4 GB",
    r"50 is chance",
    r"off by\s+0\.1 or more where few pairs",
    r"95 % interval",
    r"ViT-B/16",
    r"224 px",
    r"224 pixels",
    r"16 to 63 pixels",
    r"Lemma 3\.3, Cor\. 3\.4, Thm\. 3\.5",
)


def sentences() -> Iterator[Said]:
    """Say every number of these sections, from the tables."""
    yield from introduction()
    yield from random_masks()
    yield from whole_networks()
    yield from just_trained()
    yield from converged()
    yield from certain_gains()


def introduction() -> Iterator[Said]:
    """Say what the picture and the demo are of, and how many laws there are."""
    trials = cell("n", "fashion", "baselines", model=RESNET, measure="test_accuracy")
    yield said("ResNet18 on Fashion-MNIST, {} trials;", word(int(trials)))
    demo = table("demo", "measures")
    images = int((demo["train_examples"] + demo["test_examples"]).iloc[0])
    networks = word(demo["model"].nunique())
    yield said("trains {} small networks, one of each family", networks)
    yield said("scikit-learn's {} digits", f"{images:,}")
    yield said("AP3 exact under {} latent laws", word(len({GAUSSIAN, *AP3})))


def random_masks() -> Iterator[Said]:
    """Say how AP3 Fisher orders masks of one ratio, before fine-tuning, given mode and ratio."""
    yield said(
        "is {} for AP3 Fisher and {} for AP2 on the digits (n = {} trainings of {} networks), "
        "{} and {} on Fashion-MNIST ({} of {})",
        *(
            written
            for study in masks.TOGETHER
            for written in (
                masks.rho(study, "ap3_fisher"),
                masks.rho(study, "ap2"),
                plain(masks.trainings(study), 0),
                word(table(study, "draws")["model"].nunique()),
            )
        ),
    )


def whole_networks() -> Iterator[Said]:
    """Say how AP3 and the diagonal law order allocations of one total ratio over all layers."""
    single = {model: gain("network", model, "kept") for model in DIGITS}
    above = [mean for mean, *_ in single.values() if mean > 0]
    yield said("in {} of the {} small networks", word(len(above)), word(len(single)))
    yield said(
        "gains in ρ of {} to {} with BatchNorm's statistics kept, {} in the ViT, "
        "{} over all {} trainings (95 % interval {} to {})",
        *map(plain, ends(above)),
        plain(single["small_vit"][0]),
        plain(gain("network", ALL, "kept")[0]),
        word(ranked("network", GAUSSIAN, ALL, "kept")["n"]),
        *map(plain, gain("network", ALL, "kept")[1:]),
    )
    trainings = rows(FASHION, "ranking", model=RESNET, measure=GAUSSIAN, pd=LOSS, among=WITHIN)
    yield said(
        "it gains in each of {} trainings, {} on average, but the interval holds zero ({} to {})",
        word((trainings["gain"] > 0).sum()),
        *map(plain, gain(FASHION, RESNET)),
    )
    yield said("in ShuffleNet it is worse ({}, {} to {})", *map(plain, gain(FASHION, SHUFFLENET)))
    yield said(
        "When both are converged it is the same: {} and {}.",
        *(plain(gain(CONVERGED, model)[0]) for model in (RESNET, SHUFFLENET)),
    )
    yield said(
        "from ImageNet weights it gains {} ({} to {}), to ρ {}.",
        *map(plain, gain(PRETRAINED, LITE)),
        plain(ranked(PRETRAINED, GAUSSIAN, LITE)["mean"]),
    )
    places = [(study, model) for study in (FASHION, CONVERGED) for model in (RESNET, SHUFFLENET)]
    places.append((PRETRAINED, LITE))
    yield said(
        "a mean ρ of {} and {} in ResNet18 and ShuffleNet, {} and {} when converged, "
        "and {} from ImageNet weights, where AP2 has {}, {}, {}, {} and {}.",
        *(
            plain(ranked(study, law, model)["mean"])
            for law in (DIAGONAL, AP2)
            for study, model in places
        ),
    )
    epochs = table("network_tuned", "ranking_summary")["epoch"].max()
    yield said("little of this is left after {} epoch of fine-tuning", word(epochs))


def gain(study: str, model: str, state: str = "estimated") -> tuple[float, float, float]:
    """Return how much AP3 of the Gaussian law gains over AP2 in ρ, and the ends of its interval."""
    found = ranked(study, GAUSSIAN, model, state, statistic="gain")
    return found["mean"], found["low"], found["high"]


def just_trained() -> Iterator[Said]:
    """Say in how many networks the sign of the PD decides, and what they have at 224 px."""
    absolute, signed = agreement("fashion", "ap2", LOSS), agreement("fashion", "ap2", SIGNED)
    turned = (absolute < 0.5) & (signed > 0.5)
    yield said(
        "In {} networks of `fashion` the claim fails by |PD| and holds by the signed PD",
        word(turned.sum()),
    )
    study = "fashion_224"
    absolute, signed = agreement(study, "ap2", LOSS), agreement(study, "ap2", SIGNED)
    ratio = agreement(study, "ratio", SIGNED)
    trainings = rows(study, "baselines", measure="test_accuracy")["n"].max()
    yield said(
        "In the paper's {} networks at 224 px (`fashion_224`, {} training each, so without a look-up) "
        "AP2 is no better than chance by |PD|",
        word((absolute <= 0.5).sum()),
        word(trainings),
    )
    yield said(
        "as good as the ratio alone in ResNet50 and VGG16 ({} and {} % of the pairs), "
        "far below the ratio in ViT-B/16 ({} and {} %)",
        *map(percent, (signed["resnet50"], signed["vgg16"])),
        *map(percent, (signed["vit_b_16"], ratio["vit_b_16"])),
    )


def agreement(study: str, measure: str, difference: str) -> pd.Series:
    """Return the share of all pairs that a measure orders right after fine-tuning, by network."""
    return counted(study, measure=measure, pd=difference)["mean"]


def converged() -> Iterator[Said]:
    """Say in how many trainings of the converged networks the claim fails by |PD|."""
    found = counted("fashion_converged", pd=LOSS)
    shares = [share for row in found.itertuples() for share in three(row)]
    yield said(
        "it fails by the signed PD, and by |PD| in {} trainings of {}",
        word(sum(share < 0.5 for share in shares)),
        word(len(shares)),
    )


def three(row: Any) -> tuple[float, float, float]:
    """Return the three values of which a row has the smallest, the largest and the mean."""
    if row.n != 3:
        raise ValueError(f"The row has {row.n} values, not three.")
    return row.min, 3 * row.mean - row.min - row.max, row.max


def certain_gains() -> Iterator[Said]:
    """Say which AP3s order the signed PD of the test loss certainly better than AP2 does."""
    found = better("all")
    trials = table("replicates", "agreement_summary")["n"].max()
    here = found[found["study"] == "replicates"]["measure"].nunique()
    yield said(
        "{} AP3s are certainly better than AP2 in {} network, the converged ShuffleNet (one "
        "from the baseline, one from the control), and {} in the {} trials of `replicates`",
        word(found["measure"].nunique()),
        word(len(found[["study", "model"]].drop_duplicates())),
        word(here) if here else "none",
        word(trials),
    )
    yield said(
        "between ratios of one mode {} are, from ImageNet weights",
        word(better("ratios")["measure"].nunique()),
    )


def better(among: str) -> pd.DataFrame:
    """Choose the gains of an AP3 over AP2 that are certain and above zero."""
    found = certain("gain", pd=SIGNED, among=among)
    return found[found["measure"].isin(AP3) & (found["mean"] > 0)]
