"""docs/findings-network.md: which measure orders, and predicts, damage to all layers at once."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from said.rankings import (
    ALL,
    AP2,
    CALIBRATED,
    CEILING,
    CONVERGED,
    DIAGONAL,
    DIGITS,
    FASHION,
    GAUSSIAN,
    JOINT,
    PREDICTIONS,
    PRETRAINED,
    SINGLE,
    WITHIN,
    added,
    best,
    decades,
    factor,
    gain,
    ranked,
    rho,
    sized,
)
from said.sentences import Said, said
from said.tables import (
    LITE,
    LOSS,
    RESNET,
    SHUFFLENET,
    SIGNED,
    ends,
    only,
    percent,
    plain,
    rows,
    table,
    word,
)

PAGE = "findings-network.md"
SECTIONS = ("What was done", "In short")
GIVEN = (
    r"estimated\s+again on 256 training images",
    r"Running the variant on 256 training images",
    r"ShuffleNet V2 ×0\.5",
    r"512 training images",
    r"for 3 and 6 epochs",
    r"for 12 and 30 epochs",
    r"trained on 9,000 of these images at 48\s+px",
    r"for 8\s+epochs",
    r"\(of 256 training images read 512 on Fashion-MNIST\)",
    r"\(Def\. 2\.8\)",
    r"Intervals are 95 %",
    r"intervals of 90 %",
    r"Of damage between 0\.1 and 1\s+nat ",
    r"of damage below 0\.01 nats",
    r"Of damage below 0\.1 nats",
    r"of 0\.1 to 1 nat ",
    r"at one ratio, 0\.5",
    r"the goal of 0\.2 decades",
    r"The goal of ρ ≥ 0\.95",
    r"\(n:[48]\)",
)

OF_WEIGHTS = (GAUSSIAN, "ap3_nondiagonal", "ap3_student_t")
OF_DAMAGE = (JOINT, DIAGONAL, CALIBRATED)
FITTED = (JOINT, SINGLE, DIAGONAL, CALIBRATED, GAUSSIAN, AP2)
STATES = ("kept", "estimated")
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth"}


def sentences() -> Iterator[Said]:
    """Say every number of these sections, from the tables."""
    yield from what_was_done()
    yield from network_ap3()
    yield from weights_known()
    yield from fine_tuned()
    yield from additivity()
    yield from size()
    yield from calibration_goal()
    yield from variant_run()
    yield from compressed()


def what_was_done() -> Iterator[Said]:
    """How many networks, trainings and variants, and what the sign of the PD does."""
    yield said(
        "{} vectors of per-layer ratios for each of {} totals, and", *vectors_totals("network")
    )
    yield said("with {} vectors for each of {} totals, 512", *vectors_totals(FASHION))
    lost = absolute_less_signed("small_alexnet")
    yield said("all measures lose up to {} in ρ by the signed PD", plain(lost.max()))
    trainings = table("network", "ranking").groupby("model")["trial"].nunique()
    yield said(
        "Each of the digits' {} networks is trained {} times, as are the {} on Fashion-MNIST and "
        "the {} from ImageNet weights.",
        word(len(trainings)),
        word(trainings.max()),
        word(networks(FASHION)),
        word(networks(PRETRAINED)),
    )
    variants = rows("network", "ranking", among=WITHIN)["n"]
    yield said(
        "there are {} variants, {} at one total ratio;",
        plain(variants.max(), 0),
        vectors_totals("network")[0],
    )
    yield said(
        "over all of `all networks`, {} on the digits and {} on Fashion-MNIST, which",
        *(word(ranked(study, AP2)["n"]) for study in ("network", FASHION)),
    )


def network_ap3() -> Iterator[Said]:
    """Item 1, AP3 of a network against its AP2."""
    small = [ranked("network", GAUSSIAN, one, "kept", statistic="gain")["mean"] for one in DIGITS]
    large = [
        ranked(study, GAUSSIAN, model, statistic="gain")["mean"]
        for study, model in (
            (CONVERGED, RESNET),
            (CONVERGED, SHUFFLENET),
            (PRETRAINED, LITE),
        )
    ]
    yield said(
        "trainings the Gaussian AP3 gains in {} of {}: the {} small convolutional networks, ResNet18",
        word(above_zero(small + large)),
        word(len(small + large)),
        word(above_zero(small)),
    )
    yield said(
        "kept, it gains {} in ρ in `small_alexnet` ({} to {}), {} in `small_vgg` ({} to {}) and {} "
        "in `small_resnet` ({} to {}), and {} ({} to {}) in `small_vit`: {} ({} to {}) over the {} "
        "trainings.",
        *gain("network", GAUSSIAN, "small_alexnet", "kept"),
        *gain("network", GAUSSIAN, "small_vgg", "kept"),
        *gain("network", GAUSSIAN, "small_resnet", "kept"),
        *gain("network", GAUSSIAN, "small_vit", "kept"),
        *gain("network", GAUSSIAN, ALL, "kept"),
        word(ranked("network", GAUSSIAN, ALL, "kept")["n"]),
    )
    yield said(
        "AP2 catches up: {} ({} to {}) is left in `small_vgg` and nothing in `small_resnet`, {} "
        "({} to {}) over all.",
        *gain("network", GAUSSIAN, "small_vgg"),
        *gain("network", GAUSSIAN),
    )
    single = rows(
        FASHION,
        "ranking",
        model=RESNET,
        measure=GAUSSIAN,
        among=WITHIN,
        pd=LOSS,
    )["gain"]
    yield said(
        "it gains in {} of the {} trainings of ResNet18 ({} on average, {} to {}, since AP2 has ρ {} "
        "to {} there) and is *worse* in ShuffleNet: {} ({} to {}).",
        "each" if above_zero(single) == len(single) else word(above_zero(single)),
        word(len(single)),
        *gain(FASHION, GAUSSIAN, RESNET),
        *rho(FASHION, AP2, RESNET)[1:],
        *gain(FASHION, GAUSSIAN, SHUFFLENET),
    )
    alone = ranked(CONVERGED, GAUSSIAN, RESNET, statistic="gain")
    yield said(
        "when the networks are converged: {} ({} to {}; {} to {} in single trainings, where AP2 has "
        "ρ {} to {}) and {} ({} to {}).",
        *gain(CONVERGED, GAUSSIAN, RESNET),
        plain(alone["min"]),
        plain(alone["max"]),
        *rho(CONVERGED, AP2, RESNET)[1:],
        *gain(CONVERGED, GAUSSIAN, SHUFFLENET),
    )
    yield said(
        "From ImageNet weights it gains {} ({} to {}): ρ {} ({} to {}), where AP2 has {} ({} to {}).",
        *gain(PRETRAINED, GAUSSIAN, LITE),
        *rho(PRETRAINED, GAUSSIAN, LITE),
        *rho(PRETRAINED, AP2, LITE),
    )


def weights_known() -> Iterator[Said]:
    """Item 2, laws that know what each weight does."""
    yield said(
        "gains {} over AP2 ({} to {}) with kept statistics and {} ({} to {}) with new ones.",
        *gain("network", DIAGONAL, ALL, "kept"),
        *gain("network", DIAGONAL),
    )
    blind = (ranked("network", one, "small_vit")["mean"] for one in OF_WEIGHTS)
    yield said(
        "In the ViT it has ρ {}, where the laws of the weights alone have {} to {}; in "
        "`small_alexnet` it has {} and the Gaussian AP3 {}.",
        rho("network", DIAGONAL, "small_vit")[0],
        *map(plain, ends(blind)),
        rho("network", DIAGONAL, "small_alexnet")[0],
        rho("network", GAUSSIAN, "small_alexnet")[0],
    )
    yield said(
        "adds little to it: {} ({} to {}) and {} ({} to {}).",
        *gain("network", JOINT, ALL, "kept"),
        *gain("network", JOINT),
    )
    yield said(
        "the diagonal law has ρ {} ({} to {}) in ResNet18 and {} ({} to {}) in ShuffleNet, where AP2 "
        "has {} ({} to {}) and {} ({} to {}), and the joint law {} and {}:",
        *rho(FASHION, DIAGONAL, RESNET),
        *rho(FASHION, DIAGONAL, SHUFFLENET),
        *rho(FASHION, AP2, RESNET),
        *rho(FASHION, AP2, SHUFFLENET),
        rho(FASHION, JOINT, RESNET)[0],
        rho(FASHION, JOINT, SHUFFLENET)[0],
    )
    yield said(
        "Converged it has {} ({} to {}) and {} ({} to {}), the joint law {} and {}, AP2 {} ({} to {}) "
        "and {} ({} to {}):",
        *rho(CONVERGED, DIAGONAL, RESNET),
        *rho(CONVERGED, DIAGONAL, SHUFFLENET),
        rho(CONVERGED, JOINT, RESNET)[0],
        rho(CONVERGED, JOINT, SHUFFLENET)[0],
        *rho(CONVERGED, AP2, RESNET),
        *rho(CONVERGED, AP2, SHUFFLENET),
    )
    yield said(
        "which sees no data: {} ({} to {}), the joint law {}.",
        *rho(PRETRAINED, DIAGONAL, LITE),
        rho(PRETRAINED, JOINT, LITE)[0],
    )


def fine_tuned() -> Iterator[Said]:
    """Item 3, after fine-tuning of the whole network."""
    after: dict[str, Any] = {"study": "network_tuned", "state": "tuned", "epoch": 1}
    variants = rows("network_tuned", "ranking", among=WITHIN)["n"]
    yield said(
        "the Gaussian AP3 gains {} over AP2 ({} to {}), the diagonal law {} ({} to {}), the joint one "
        "{} ({} to {}); before it, on the same {} variants of each training, {}, {} and {}.",
        *gain(measure=GAUSSIAN, **after),
        *gain(measure=DIAGONAL, **after),
        *gain(measure=JOINT, **after),
        plain(variants.max(), 0),
        *(gain("network_tuned", one)[0] for one in (GAUSSIAN, DIAGONAL, JOINT)),
    )
    yield said("a perfect measure would have ρ {}.", rho(measure=CEILING, **after)[0])
    first = rows(
        "network_tuned",
        "ranking",
        model="small_alexnet",
        trial=1,
        epoch=1,
        measure=GAUSSIAN,
        among=WITHIN,
        pd=LOSS,
    )
    yield said(
        "saw a gain of {} in one training of `small_alexnet`; over {} it is {}, {} to {}.)",
        plain(only(first, "gain")),
        word(ranked(measure=GAUSSIAN, model="small_alexnet", **after)["n"]),
        *gain(measure=GAUSSIAN, model="small_alexnet", **after),
    )


def additivity() -> Iterator[Said]:
    """Item 4, what layers do together beside the sum of what each does."""
    together = added("network")
    whole = together["model"] == ALL
    yield said(
        "orders {} to {} % of the pairs of one total ratio wrongly, on average over the networks "
        "({} to {} % in single ones)",
        *map(percent, ends(together[whole]["share_wrong"])),
        *map(percent, ends(together[~whole]["share_wrong"])),
    )
    small = together[~whole & (together["from"] == 0)]["factor"]
    yield said(
        "do {} times the sum in `small_alexnet`, {} and {} times in `small_vgg` and `small_resnet` "
        "with new statistics, {} times and {} the sum with kept ones, and {} times in the ViT; of "
        "damage below 0.01 nats {} to {} of the sum.",
        plain(factor("network", "small_alexnet", 0.1), 0),
        plain(factor("network", "small_vgg", 0.1), 0),
        plain(factor("network", "small_resnet", 0.1), 0),
        plain(factor("network", "small_vgg", 0.1, "kept"), 1),
        just(plain(factor("network", "small_resnet", 0.1, "kept"), 1)),
        plain(factor("network", "small_vit", 0.1), 1),
        *(plain(one, 1) for one in ends(small)),
    )
    yield said(
        "the sum orders {} to {} % wrongly over both networks, and {} to {} % when they are "
        "converged.",
        *map(percent, ends(added(FASHION, ALL)["share_wrong"])),
        *map(percent, ends(added(CONVERGED, ALL)["share_wrong"])),
    )
    yield said(
        "{} times the sum in ResNet18 and {} times in ShuffleNet, above it {} and {} times; converged "
        "{} and {} times, then {} and {} times.",
        *(
            plain(factor(study, model, low), digits)
            for study in (FASHION, CONVERGED)
            for low, digits in ((0.1, 1), (1, 0))
            for model in (RESNET, SHUFFLENET)
        ),
    )
    yield said(
        "From ImageNet weights the sum orders {} to {} % wrongly.",
        *map(percent, ends(added(PRETRAINED)["share_wrong"].dropna())),
    )


def size() -> Iterator[Said]:
    """Item 5, how far off a predicted size is."""
    off = {one: [sized("network", one, state)["decades"] for state in STATES] for one in FITTED}
    parts = [_PARTS[round(1 / one)] for one in ends(one for both in off.values() for one in both)]
    yield said("Size is predicted to a {} or a {} of a decade once", *parts)
    ratio = [sized("network", "ratio", state) for state in STATES]
    judged = [sized("network", one, state) for one in FITTED for state in STATES] + ratio
    yield said(
        "the joint law {} (kept) and {} (estimated again), the sum over single layers {} and {}, the "
        "diagonal law {} and {}, the calibrated one {} and {}, the Gaussian AP3 {} and {}, AP2 {} "
        "and {}, the ratio alone {} and {}; intervals of 90 % cover {} to {} %, and are {} to {} "
        "decades wide.",
        *(plain(one) for measure in FITTED for one in off[measure]),
        *(plain(one["decades"]) for one in ratio),
        *map(percent, ends(one["coverage"] for one in judged)),
        *(plain(one, 1) for one in ends(one["width"] for one in judged)),
    )
    raw = [sized("network", one, state, "as it is") for one in OF_DAMAGE for state in STATES]
    fashion = [
        sized(study, one, how="as it is") for one in OF_DAMAGE for study in (FASHION, CONVERGED)
    ]
    yield said(
        "the laws are off by {} to {} decades, too low where the damage is large (on Fashion-MNIST "
        "by {} to {}).",
        *(plain(one, 1) for one in ends(one["decades"] for one in raw)),
        *(plain(one, 1) for one in ends(one["decades"] for one in fashion)),
    )
    yield said(
        "there the diagonal law is off by {} ({} to {}; the joint law {}, AP2 {}), its intervals are "
        "{} decades wide and cover {} %; in the converged networks it is {} ({} to {}; {} and {}), {} "
        "decades and {} %; from ImageNet weights {} ({} to {}; the joint law {}, the calibrated {}, "
        "the Gaussian AP3 {}, AP2 {}).",
        *decades(FASHION, DIAGONAL),
        *(decades(FASHION, one)[0] for one in (JOINT, AP2)),
        plain(sized(FASHION, DIAGONAL)["width"], 1),
        percent(sized(FASHION, DIAGONAL)["coverage"]),
        *decades(CONVERGED, DIAGONAL),
        *(decades(CONVERGED, one)[0] for one in (JOINT, AP2)),
        plain(sized(CONVERGED, DIAGONAL)["width"], 1),
        percent(sized(CONVERGED, DIAGONAL)["coverage"]),
        *decades(PRETRAINED, DIAGONAL, LITE),
        *(decades(PRETRAINED, one, LITE)[0] for one in (JOINT, CALIBRATED, GAUSSIAN, AP2)),
    )


def calibration_goal() -> Iterator[Said]:
    """Item 5 again, the order by the best measure that does not run the variant."""
    perfect = (
        ranked("network", CEILING, model, "kept", among=among)["mean"]
        for model in DIGITS
        for among in (WITHIN, "all")
    )
    fashion = [best(study, one) for study in (FASHION, CONVERGED) for one in (RESNET, SHUFFLENET)]
    yield said(
        "the best measure of a network of `network` has {} to {} within one ratio (kept) and {} to {} "
        "over all, where a perfect one would have {} to {}, and on Fashion-MNIST {} to {} within one "
        "ratio.",
        *map(plain, ends(best("network", one, "kept") for one in DIGITS)),
        *map(plain, ends(best("network", one, "kept", "all") for one in DIGITS)),
        *map(plain, ends(perfect)),
        *map(plain, ends([*fashion, best(PRETRAINED, LITE)])),
    )


def variant_run() -> Iterator[Said]:
    """Item 6, the variant's own predictions."""
    values = (
        ranked("network", PREDICTIONS, model, state)["mean"] for model in DIGITS for state in STATES
    )
    off = (sized("network", PREDICTIONS, state, "as it is")["decades"] for state in STATES)
    yield said(
        "ρ {} to {} within one ratio and is off by {} to {} decades on average as it is:",
        *map(plain, ends(values)),
        *map(plain, ends(off)),
    )


def compressed() -> Iterator[Said]:
    """Item 7, other compressions."""
    modes = ("rows", "low_rank", "columns", "quantised")
    yield said(
        "it has ρ {} and {} within one ratio, where AP2 has {} and {}.",
        *(
            rho("network_compressed", measure, mode=mode)[0]
            for measure in (SINGLE, AP2)
            for mode in ("columns", "quantised")
        ),
    )
    yield said(
        "the diagonal law gains {} with rows as zeros ({} to {}), {} with low rank ({} to {}), {} "
        "with columns ({} to {}) and {} with quantised weights ({} to {});",
        *(one for mode in modes for one in gain("network_compressed", DIAGONAL, mode=mode)),
    )
    blind = [ranked("network_compressed", GAUSSIAN, mode=mode, statistic="gain") for mode in modes]
    certain = sum(one["low"] > 0 or one["high"] < 0 for one in blind)
    yield said(
        "the Gaussian AP3 {}, {}, {} and {}, {} of them told from zero.",
        *(plain(one["mean"]) for one in blind),
        word(certain) if certain else "none",
    )
    poor = ranked("network_compressed", CEILING, "small_vgg", mode="quantised")
    yield said("the noise ceiling there is {}.", plain(poor["mean"]))
    groups = [
        rho("network_groups", measure, "small_resnet", mode=mode)[0]
        for measure in (AP2, GAUSSIAN)
        for mode in ("n:4", "n:8")
    ]
    yield said(
        "as it is there without groups: {} (n:4) and {} (n:8) within one ratio, the Gaussian AP3 {} "
        "and {}.",
        *groups,
    )


def just(times: str) -> str:
    """Write a factor of one as a word."""
    return "just" if times == "1.0" else times


def vectors_totals(study: str) -> tuple[str, str]:
    """Write how many vectors of ratios there are for each total, and how many totals."""
    found = table(study, "ranking")
    found = found[found["among"].str.startswith("ratio ")]
    return plain(found["n"].max(), 0), word(found["among"].nunique())


def networks(study: str) -> int:
    """Count the networks of a study."""
    return table(study, "ranking")["model"].nunique()


def absolute_less_signed(model: str) -> pd.Series:
    """Return what each measure's ρ within ratios loses where the PD has its sign."""
    found = rows("network", "ranking_summary", model=model, among=WITHIN, statistic="rho")
    by = found.pivot_table(index="measure", columns="pd", values="mean")
    return (by[LOSS] - by[SIGNED]).drop(CEILING)


def above_zero(values: Iterable[float]) -> int:
    """Count the values above zero."""
    return sum(one > 0 for one in values)
