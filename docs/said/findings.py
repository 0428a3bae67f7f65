"""docs/findings.md: what explains the performance difference."""

from collections.abc import Iterable, Iterator

import pandas as pd

from said.agreement import (
    AP3,
    STUDIES,
    agreement,
    amount,
    by_test_loss,
    certain,
    counted,
    last,
    networks,
    of_studies,
    of_trainings,
    tests,
)
from said.sentences import Said, said
from said.tables import (
    ACCURACY,
    ACCURACY_SIGNED,
    LEVEL,
    LOSS,
    SHUFFLENET,
    SIGNED,
    TRAIN,
    TRAIN_SIGNED,
    alike,
    ends,
    only,
    percent,
    plain,
    rows,
    rows_of,
    signed,
    studies_with,
    table,
    times,
    word,
)

PAGE = "findings.md"
SECTIONS = ("In short", "What fine-tuning did", "What did not survive")
GIVEN = (
    r"224 px",
    r"18,000 of 20,000 images",
    r"9,000 of 10,000 images",
    r"ViT-B/16",
    r"1 − CKA",
    r"Lemma 3\.1",
    r"94\.9 % for a ResNet18 with more augmentation",  # of the data set's own list
    r"\*The Fisher law adds 6\.7 points",  # what a former edition said
)


def sentences() -> Iterator[Said]:
    """Say every number of these sections, from the tables."""
    yield from before_fine_tuning()
    yield from turned_round()
    yield from the_other_way()
    yield from converged()
    yield from at_224_px()
    yield from pretrained()
    yield from fisher()
    yield from isotropic()
    yield from certainly_better()
    yield from between_ratios()
    yield from few_pairs()
    yield from choice()
    yield from what_fine_tuning_did()
    yield from what_did_not_survive()


def before_fine_tuning() -> Iterator[Said]:
    """Item 1."""
    means = {
        (measure, pd_): of_studies(measure, pd_)
        for measure in ("ap2", "lookup")
        for pd_ in (LOSS, SIGNED)
    }
    yield said(
        "AP2 orders {} to {} % of the pairs by |PD| and {} to {} % by the signed PD "
        "(means of the {} studies)",
        *map(percent, ends(means["ap2", LOSS])),
        *map(percent, ends(means["ap2", SIGNED])),
        word(len(means["ap2", SIGNED])),
    )
    yield said(
        "which sees no weight of the network at hand, orders {} to {} and {} to {} % "
        "(of the {} studies of several trainings)",
        *map(percent, ends(means["lookup", LOSS])),
        *map(percent, ends(means["lookup", SIGNED])),
        word(len(means["lookup", SIGNED])),
    )


def turned_round() -> Iterator[Said]:
    """Item 2."""
    by_size, by_sign = (counted("fashion", pd=pd_) for pd_ in (LOSS, SIGNED))
    turned = by_size[by_size["flips"] & (by_size["mean"] < by_sign["mean"])].index
    yield said(
        "turns the claim round in {} of the {} networks of `fashion`",
        word(len(turned)),
        word(len(by_size)),
    )
    two = ["alexnet", "resnet18"]
    yield said(
        "AP2 orders {} and {} % of the pairs as |PD| does",
        *by_size["mean"][two].map(percent),
    )
    yield said(
        "By the signed PD it orders {} and {} % right, where the look-up has {} and {} %",
        *by_sign["mean"][two].map(percent),
        *counted("fashion", measure="lookup")["mean"][two].map(percent),
    )


def the_other_way() -> Iterator[Said]:
    """Item 3."""
    by_size, by_sign = (of_trainings("fashion_all", pd_) for pd_ in (LOSS, SIGNED))
    yield said(
        "AP2 orders {} {} pairs that are decided (of {}, in {} trainings, {} of which decides none) "
        "right by |PD| and {} by the signed PD",
        amount(by_size),
        plain(by_size["decided"].sum(), 0),
        plain(by_size["pairs"].sum(), 0),
        word(len(by_size)),
        word(int((by_size["decided"] == 0).sum())),
        amount(by_sign),
    )
    by_size, by_sign = (of_trainings("fashion_converged_all", pd_) for pd_ in (LOSS, SIGNED))
    yield said(
        "the signed PD decides {} of {} pairs, {} as AP2 orders them, and |PD| {}, the other way",
        plain(by_sign["decided"].sum(), 0),
        plain(by_sign["pairs"].sum(), 0),
        amount(by_sign),
        word(int(by_size["decided"].sum() - by_size["right"].sum())),
    )


def converged() -> Iterator[Said]:
    """Item 4, of `fashion_converged`."""
    study, two = "fashion_converged", ["resnet18", SHUFFLENET]
    control = controls(study).groupby("model")
    by_sign, by_size = counted(study), counted(study, pd=LOSS)
    yield said(
        "In `fashion_converged`, where the control gains {} and {} points, AP2 orders {} and {} % "
        "of the pairs right by the signed PD after fine-tuning (ResNet18 and ShuffleNet, {} "
        "trainings each)",
        *(-100 * control[ACCURACY_SIGNED].mean()[two]).map(plain),
        *by_sign["mean"][two].map(percent),
        alike(map(word, by_sign["n"])),
    )
    yield said(
        "By |PD| it is {} and {} %, in ResNet18 from {} to {} % between trainings",
        *by_size["mean"][two].map(percent),
        *by_size.loc["resnet18", ["min", "max"]].map(percent),
    )
    yield said(
        "so that the test loss rises: by {} and {} nats in the control",
        *(plain(rise, 4) for rise in control[SIGNED].mean()[two]),
    )
    yield said(
        "the less it rises on average, up to {} % of the layer by highest magnitude and {} % by the other modes",
        percent(min(falls_to(study, model, "highest") for model in two)),
        percent(
            min(falls_to(study, model, mode) for model in two for mode in ("lowest", "random"))
        ),
    )
    yield said(
        "By the signed PD of the *training* loss AP2 orders {} and {} %. The look-up has {} to {} % "
        "in all of these cases",
        *counted(study, pd=TRAIN_SIGNED)["mean"][two].map(percent),
        *map(
            percent,
            ends(
                share
                for pd_ in (SIGNED, LOSS, TRAIN_SIGNED)
                for share in counted(study, measure="lookup", pd=pd_)["mean"]
            ),
        ),
    )


def at_224_px() -> Iterator[Said]:
    """Item 4, of `fashion_224`."""
    study, three = "fashion_224", ["resnet50", "vgg16", "vit_b_16"]
    by_sign, by_size = counted(study)["mean"], counted(study, pd=LOSS)["mean"]
    rises = controls(study).set_index("model")[SIGNED] > 0
    yield said("The {} networks of the paper at its 224 px", word(len(by_sign)))
    yield said(
        "AlexNet, whose test loss rises, has {} % by the signed PD of the test loss",
        *by_sign[rises].map(percent),
    )
    yield said(
        "ResNet50, VGG16 and ViT-B/16, whose test loss falls by fine-tuning, have {}, {} and {} %. "
        "There the ratio alone has {}, {} and {} %",
        *by_sign[~rises][three].map(percent),
        *counted(study, measure="ratio")["mean"][three].map(percent),
    )
    yield said(
        "By the training loss it is {}, {}, {} and {} %, and by |PD| less than half in all {} "
        "({} to {} %; of the training loss {} to {} %)",
        *counted(study, pd=TRAIN_SIGNED)["mean"][["alexnet", *three]].map(percent),
        word(int((by_size < 0.5).sum())),
        *map(percent, ends(by_size)),
        *map(percent, ends(counted(study, pd=TRAIN)["mean"])),
    )


def pretrained() -> Iterator[Said]:
    """Item 4, from ImageNet weights."""
    own = {pd_: counted("pretrained", pd=pd_).iloc[0] for pd_ in (LOSS, SIGNED, TRAIN_SIGNED)}
    yield said(
        "(`pretrained`, EfficientNet-Lite0, {} trainings on 9,000 of 10,000 images)",
        word(own[SIGNED]["n"]),
    )
    yield said(
        "the control's test loss rises by {} to {} nats, and AP2 orders {} % of the pairs right by "
        "either sign of the test loss, and {} % by the signed PD of the training loss",
        *(plain(rise, 3) for rise in ends(controls("pretrained")[SIGNED])),
        alike(percent(own[pd_]["mean"]) for pd_ in (LOSS, SIGNED)),
        percent(own[TRAIN_SIGNED]["mean"]),
    )
    least, middle, most = sorted(of_trainings("from_scratch", SIGNED)["agreement"])
    yield said(
        "by the signed PD of the test loss AP2 orders {} % in one training and {} and {} % in two, "
        "by the training loss {} %",
        percent(most),
        percent(least),
        percent(middle),
        *counted("from_scratch", pd=TRAIN_SIGNED)["mean"].map(percent),
    )
    control = 100 * controls("pretrained_all")[ACCURACY_SIGNED]
    test, train = (of_trainings("pretrained_all", pd_) for pd_ in (SIGNED, TRAIN_SIGNED))
    yield said(
        "(`pretrained_all`: {} variants, {} epochs at the rate of the training, which costs the "
        "control {} ± {} points of accuracy, n = {}), {} of the {} pairs that the test loss decides "
        "is as AP2 orders it by the signed PD, and {} of the {} that the training loss decides (of "
        "{} each)",
        word(variants("pretrained_all")),
        word(last("pretrained_all")),
        plain(control.mean(), 1),
        plain(control.std(), 1),
        plain(control.count(), 0),
        plain(test["right"].sum(), 0),
        plain(test["decided"].sum(), 0),
        amount(train),
        plain(train["decided"].sum(), 0),
        alike(plain(found["pairs"].sum(), 0) for found in (test, train)),
    )


def fisher() -> Iterator[Said]:
    """Item 5."""
    of = {"measure": "ap3_fisher", "statistic": "gain"}
    by_size, by_sign = (counted("replicates", **of, pd=pd_) for pd_ in (TRAIN, TRAIN_SIGNED))
    yield said(
        "In `replicates`, {} trials of {} networks",
        alike(map(word, by_size["n"])),
        word(len(by_size)),
    )
    better = by_size[(by_size["holm"] < LEVEL) & (by_size["mean"] > 0)]
    worse = by_sign[(by_sign["holm"] < LEVEL) & (by_sign["mean"] < 0)].loc[better.index]
    yield said(
        "certainly better than AP2 after fine-tuning in {} networks of {} by |PD| (gains of {} and "
        "{} in the share of pairs), and in the same {} certainly worse by the signed PD ({} and {})",
        word(len(better)),
        word(len(by_size)),
        *better["mean"].map(plain),
        word(len(worse)),
        *worse["mean"].map(plain),
    )
    tests_of = (counted("replicates", **of, pd=pd_)["mean"] > 0 for pd_ in (LOSS, SIGNED))
    yield said(
        "By the test loss it is better in {} network by either",
        alike(word(int(found.sum())) for found in tests_of),
    )


def isotropic() -> Iterator[Said]:
    """Item 6."""
    found = certain("gain", measure="ap3_student_t")
    found = found[found["mean"] > 0]
    everywhere = found[found["among"] == "all"]
    own = {"study": "fashion_converged", "model": SHUFFLENET}
    yield said(
        "Student-t law on group means is certainly better than AP2 {}, in the converged ShuffleNet "
        "after fine-tuning, from the control and by the signed PD of the test loss (a gain of {}; n "
        "= {})",
        times(len(everywhere)),
        plain(only(everywhere, **own, epoch=last(own["study"]), reference="control", pd=SIGNED)),
        plain(only(everywhere, "n"), 0),
    )
    modes = found[found["among"] == "modes"]
    yield said(
        "by |PD|, in the same network ({}), and on the training loss there and in `pretrained` ({} "
        "each)",
        plain(only(modes, **own, pd=LOSS)),
        alike(plain(only(modes, study=study, pd=TRAIN)) for study in (own["study"], "pretrained")),
    )


def certainly_better() -> Iterator[Said]:
    """Item 7, over all pairs."""
    found = by_test_loss(certain("gain", among="all"))
    found = found[found["mean"] > 0]
    laws = found[found["measure"].isin(AP3)]
    kronecker, student = (
        {"study": "fashion_converged", "model": SHUFFLENET, "pd": SIGNED}
        | {"measure": measure, "reference": reference, "epoch": last("fashion_converged")}
        for measure, reference in (("kronecker_fisher", "baseline"), ("ap3_student_t", "control"))
    )
    yield said(
        "{} are in {} network, the converged ShuffleNet after fine-tuning, by the signed PD: "
        "Kronecker Fisher (a gain of {}, to {} % of the pairs right) and, from the control, "
        "Student-t ({}, to {} %)",
        word(len(laws)).capitalize(),
        word(len(networks(laws))),
        plain(only(laws, **kronecker)),
        percent(agreement(**kronecker)),
        plain(only(laws, **student)),
        percent(agreement(**student)),
    )
    tested = by_test_loss(tests("replicates", "gain", among="all"))
    sure = tested[tested["holm"] < LEVEL]
    yield said(
        "none in the {} of `replicates`, where {} of {} gains are certain and {} of them below zero",
        alike(map(word, sure["n"])),
        plain(len(sure), 0),
        plain(len(tested), 0),
        "all" if (sure["mean"] < 0).all() else word(int((sure["mean"] < 0).sum())),
    )
    others = found[~found["measure"].isin(AP3)]
    yield said(
        "What else is certain above zero is no AP3, and after fine-tuning in {} networks",
        word(len(networks(others))),
    )
    own = others[(others["study"] == "fashion") & (others["model"] == "resnet18")]
    own = own[own["pd"] == SIGNED]
    yield said(
        "by the signed PD, the magnitude pruned, SNIP ({} each) and OBD ({})",
        alike(plain(only(own, measure=measure)) for measure in ("magnitude_pruned", "snip")),
        plain(only(own, measure="obd")),
    )
    own = others[others["study"] == "pretrained"]
    reverse = {"measure": "kl_predictions_reverse", "reference": "baseline"}
    from_control = {"pd": SIGNED, "reference": "control"}
    yield said(
        "in `pretrained`, the KL reversed ({}, to {} % of the pairs right by either sign), by |PD| "
        "the mean slope and Taylor ({} each), and from the control, by the signed PD, OBD ({}) and "
        "1 − CKA ({})",
        alike(plain(only(own, **reverse, pd=pd_)) for pd_ in (LOSS, SIGNED)),
        alike(
            percent(counted("pretrained", **reverse, pd=pd_)["mean"].iloc[0])
            for pd_ in (LOSS, SIGNED)
        ),
        alike(plain(only(own, measure=measure, pd=LOSS)) for measure in ("mean_slope", "taylor")),
        plain(only(own, **from_control, measure="obd")),
        plain(only(own, **from_control, measure="cka_distance")),
    )


def between_ratios() -> Iterator[Said]:
    """Item 7, between ratios of one mode, and over the look-up."""
    found = by_test_loss(certain("gain", among="ratios"))
    found = found[found["mean"] > 0]
    own = found[(found["study"] == "fashion") & (found["model"] == "resnet18")]
    of_ratios = found[found["study"] == "pretrained"]
    yield said(
        "in ResNet18 of `fashion` Fisher at both ends and Kronecker Fisher gain {} and {}, by |PD| "
        "only; in `pretrained` AP3 Fisher gains {} and Kronecker Fisher {} by either sign, where AP2 "
        "orders {} % of these pairs right and the look-up {}",
        plain(only(own, measure="fisher_both_ends")),
        plain(only(own, measure="kronecker_fisher")),
        *(
            alike(plain(only(of_ratios, measure=measure, pd=pd_)) for pd_ in (LOSS, SIGNED))
            for measure in ("ap3_fisher", "kronecker_fisher")
        ),
        alike(
            percent(counted("pretrained", pd=pd_, among="ratios")["mean"].iloc[0])
            for pd_ in (LOSS, SIGNED)
        ),
        alike(
            all_or_percent(
                counted("pretrained", pd=pd_, among="ratios", measure="lookup")["mean"].iloc[0]
            )
            for pd_ in (LOSS, SIGNED)
        ),
    )
    found = by_test_loss(certain("over_lookup", among="all"))
    found = found[found["mean"] > 0]
    laws = found[found["measure"].isin(AP3)]
    outputs = found[(found["study"] == "fashion_converged") & (found["model"] == "resnet18")]
    outputs = outputs[outputs["sees"] == "outputs"]
    outputs = outputs[outputs["pd"] == LOSS]
    of = {"study": "fashion", "model": "resnet18", "epoch": 0, "pd": SIGNED}
    gain = only(laws, **of, measure="kronecker_fisher")
    yield said(
        "Over the look-up {} gain of an AP3 is certain, of Kronecker Fisher in ResNet18 of `fashion` "
        "before fine-tuning, by the signed PD ({}), and by |PD| as small a one of {} measures of the "
        "outputs in the converged ResNet18",
        word(len(laws)),
        alike(map(plain, [gain, *outputs["mean"]])),
        word(outputs["measure"].nunique()),
    )


def few_pairs() -> Iterator[Said]:
    """Item 8."""
    digits, fashion = (
        [study for study in STUDIES if variants(study) == 12 and of_dataset(study, dataset)]
        for dataset in ("digits", "fashion-mnist")
    )
    yield said(
        "Of {} pairs, {} images of digits tell {} to {} apart by the test loss (means over the "
        "trainings of a network), and {} of Fashion-MNIST {} to {}; by the test accuracy it is {} to "
        "{}, and {} to {}",
        alike(plain(pairs(study), 0) for study in (*digits, *fashion)),
        alike(plain(examples(study), 0) for study in digits),
        *decided(digits, LOSS, SIGNED),
        alike(plain(examples(study), 0) for study in fashion),
        *decided(fashion, LOSS, SIGNED),
        *decided(digits, ACCURACY, ACCURACY_SIGNED),
        *decided(fashion, ACCURACY, ACCURACY_SIGNED),
    )


def choice() -> Iterator[Said]:
    """Item 9."""
    studies = "fashion", "fashion_converged", "pretrained"
    lost = {study: pruned(study).groupby("ratio")[ACCURACY_SIGNED].max() for study in studies}
    most = {study: losses[losses < 0.01].index.max() for study, losses in lost.items()}
    yield said(
        "can prune {} of their last layer and lose less than one point of test accuracy (at most {}, "
        "{} and {})",
        alike(plain(ratio, 1) for ratio in most.values()),
        *(plain(100 * lost[study][most[study]], 1) for study in studies),
    )


def what_fine_tuning_did() -> Iterator[Said]:
    """Say what the converged networks come to."""
    found = rows("fashion_converged", "baselines", measure="test_accuracy").set_index("model")
    yield said(
        "come to {} ± {} % (ResNet18, n = {}) and {} ± {} % (ShuffleNet, n = {}) of the test images",
        *(
            written
            for model in ("resnet18", SHUFFLENET)
            for written in (
                percent(found["mean"][model], 1),
                percent(found["sd"][model], 1),
                plain(found["n"][model], 0),
            )
        ),
    )


def what_did_not_survive() -> Iterator[Said]:
    """Count again what a former edition said."""
    of = {"measure": "ap3_fisher", "statistic": "gain"}
    by_size, by_sign = (counted("replicates", **of, pd=pd_) for pd_ in (TRAIN, TRAIN_SIGNED))
    better = by_size[(by_size["holm"] < LEVEL) & (by_size["mean"] > 0)]
    yield said(
        "of the {} trials of `replicates`, counted again, the mean gain is {} by |PD|, certain in {} "
        "networks of {}, and {} by the signed PD",
        alike(map(word, by_size["n"])),
        plain(by_size["mean"].mean()),
        word(len(better)),
        word(len(by_size)),
        signed(by_sign["mean"].mean()),
    )
    student = [
        counted("replicates", measure="ap3_student_t", statistic="gain", pd=pd_)
        for pd_ in (TRAIN, TRAIN_SIGNED)
    ]
    yield said(
        "*The Student-t law is certainly worse than AP2 in two of four*: in {}",
        alike(
            word(int(((found["holm"] < LEVEL) & (found["mean"] < 0)).sum())) for found in student
        ),
    )
    fails = pd.concat(
        table(study, "bounds_summary").assign(study=study)
        for study in studies_with("bounds_summary")
    )
    fails = rows_of(fails[fails["failing"] > 0], law="student_t", bound="lemma31_printed")
    fails = fails[fails["phase"] == "tuned"]
    alexnet = {"study": "fashion", "model": "alexnet"}
    vgg = {"study": "fashion_224", "model": "vgg16"}
    yield said(
        "fails in {} of the {} fine-tuned states of AlexNet in `fashion`, and in {} of the {} of "
        "VGG16 in `fashion_224`",
        *(
            plain(only(fails, column, **network), 0)
            for network in (alexnet, vgg)
            for column in ("failing", "n")
        ),
    )


def all_or_percent(share: float) -> str:
    """Say `all` of the whole."""
    return "all" if share == 1 else f"{percent(share)} %"


def measured(study: str) -> pd.DataFrame:
    """Take the measures at the end of fine-tuning."""
    return rows(study, "measures", epoch=last(study))


def controls(study: str) -> pd.DataFrame:
    """Take the controls at the end of fine-tuning, one for each training."""
    return rows_of(measured(study), mode="control")


def pruned(study: str) -> pd.DataFrame:
    """Take the pruned networks at the end of fine-tuning."""
    found = measured(study)
    return found[found["mode"] != "control"]


def falls_to(study: str, model: str, mode: str) -> float:
    """Return the ratio up to which the mean test loss is the smaller, the more is pruned."""
    found = rows_of(measured(study), model=model)
    means = found[found["mode"].isin([mode, "control"])].groupby("ratio")[SIGNED].mean()
    rises = means.diff() > 0
    return float(means.index[rises.argmax() - 1] if rises.any() else means.index[-1])


def variants(study: str) -> int:
    """Count the pruned networks of a training."""
    return len(pruned(study)[["mode", "ratio"]].drop_duplicates())


def pairs(study: str) -> int:
    """Count the pairs of the pruned networks of a training."""
    return variants(study) * (variants(study) - 1) // 2


def of_dataset(study: str, dataset: str) -> bool:
    """Say whether a study is of this data set."""
    return set(table(study, "agreement_summary")["dataset"]) == {dataset}


def examples(study: str) -> int:
    """Count the test images."""
    (number,) = set(table(study, "measures")["test_examples"])
    return int(number)


def decided(studies: Iterable[str], *differences: str) -> list[str]:
    """Write the smallest and the largest mean number of decided pairs of a network."""
    found = ends(
        mean
        for study in studies
        for pd_ in differences
        for mean in counted(study, statistic="decided", pd=pd_)["mean"]
    )
    return [plain(number, 0) for number in found]
