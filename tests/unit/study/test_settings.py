import copy
from pathlib import Path

import pytest
import yaml

from ap3.errors import UserError
from ap3.study.settings import read_studies

ROOT = Path(__file__).parents[3]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def broken(path, value):
    config = copy.deepcopy(CONFIG)
    *steps, last = ["studies", "demo", *path] if path[0] != "study" else path
    part = config
    for step in steps:
        part = part[step]
    part[last] = value
    return config


def test_the_shipped_configuration_is_right():
    demo = read_studies(CONFIG, SCHEMA)["demo"]
    assert len(demo.pairs) == 4
    assert len(demo.variants) == 10
    assert len(demo.figures) == 18


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["trails"], 2, ["'trails'", "'trials'"]),
        (["trials"], "two", ["trials", "'two'", "whole number"]),
        (["study"], "dmeo", ["study", "'dmeo'", "'demo'"]),
        (["data", "ten_classes"], "digit", ["ten_classes", "'digit'", "'digits'"]),
        (["data", "ten_classes"], "folder:/no/such", ["ten_classes", "no such folder", "correct"]),
        (["networks", "vgg", "model"], "smal_vgg", ["vgg.model", "'smal_vgg'", "'small_vgg'"]),
        (["networks", "vgg", "epochs"], -1, ["epochs", "-1", "at least"]),
        (["training", "batch_size"], None, ["batch_size", "null", "whole number"]),
        (["training", "weight_decay"], "5e-4", ["weight_decay", "0.0005"]),
        (["trials"], "2", ["trials", "'2'", "Write 2."]),
        (["pruning", "modes"], ["lowst"], ["modes[0]", "'lowst'", "'lowest'"]),
        (["pruning", "modes"], [], ["modes", "empty"]),
        (["pruning", "ratios"], [0.1, 1.0], ["ratios[1]", "1.0", "less than 1"]),
        (["latent", "variance"], "automatic", ["variance", "'automatic'", "auto or a number"]),
        (["latent", "beta"], 0, ["latent.beta", "0", "greater than 0"]),
        (["latent", "fisher_scale"], None, ["fisher_scale", "null", "a number"]),
        (["latent", "share"], "variance", ["latent.share", "covariance, scale"]),
        (["pruning", "ratios"], [0.1, 0.1], ["ratios", "0.1", "more than once"]),
        (["pruning", "modes"], ["wandaa"], ["modes[0]", "'wanda'"]),
        (["pruning", "random_masks"], -1, ["random_masks", "-1", "at least"]),
    ],
)
def test_a_mistake_gets_one_sentence(path, value, words):
    with pytest.raises(UserError) as refusal:
        read_studies(broken(path, value), SCHEMA)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_no_number_is_proposed_where_none_is_taken():
    with pytest.raises(UserError, match=r"compile is 0.0, but must be true or false\.$"):
        read_studies(broken(["training", "compile"], 0.0), SCHEMA)


def test_a_number_in_place_of_a_word_is_told_the_words():
    with pytest.raises(UserError, match="device is 0, but must be text: auto, cpu, cuda or cuda:N"):
        read_studies(broken(["device"], 0), SCHEMA)


def test_a_name_that_cannot_be_printed_breaks_no_line():
    wrong = CONFIG | {"studies": CONFIG["studies"] | {"two\vlines": []}}
    with pytest.raises(UserError) as refusal:
        read_studies(wrong, SCHEMA)
    assert r"studies.two\x0blines" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("pruning", "finetuning", "sentence"),
    [
        ({"layers": "all"}, {}, "scope is head, in which only the last layer learns, but"),
        ({"layers": ["features.*"]}, {}, "scope is head, in which only the last layer learns, but"),
        ({"layers": "some"}, {}, "layers is 'some', but must be last, all, or a list of names"),
        ({"layers": ["a", "a"]}, {"scope": "all"}, "layers lists 'a' more than once"),
        ({}, {"scope": "all", "epochs": None}, "finetuning lacks the key 'epochs'"),
        ({"allocation": "global"}, {}, "shares a ratio out over several layers, but"),
        ({"modes": ["rows"]}, {}, "names rows, which only studies over any layers know"),
        ({"layers": "all", "allocation": "even"}, {"scope": "none"}, "allocation is 'even', but"),
        (
            {"layers": "all", "allocation": "global", "modes": ["n:4"]},
            {"scope": "none"},
            "allocation is global, but n:4 does not score single weights",
        ),
        (
            {"layers": "all", "modes": ["n:4"], "ratios": [0.3]},
            {"scope": "none"},
            "ratios has 0.3, but n:4 prunes whole weights of every 4; take multiples of 1/4",
        ),
    ],
)
def test_what_does_not_go_together_gets_one_sentence(pruning, finetuning, sentence):
    config = copy.deepcopy(CONFIG)
    config["studies"]["demo"]["pruning"] |= pruning
    config["studies"]["demo"]["finetuning"] |= finetuning
    with pytest.raises(UserError) as refusal:
        read_studies(config, SCHEMA)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_study_over_any_layers_has_no_figures_of_the_paper():
    config = copy.deepcopy(CONFIG)
    demo = config["studies"]["demo"]
    demo["pruning"] |= {"layers": "all", "allocation": {"random": 3}, "modes": ["lowest", "n:4"]}
    demo["finetuning"] = {"scope": "none"}
    study = read_studies(config, SCHEMA)["demo"]
    assert study.over_layers
    assert study.figures == []
    demo["figures"] = ["fig02"]
    with pytest.raises(UserError, match="figures names figures of the paper"):
        read_studies(config, SCHEMA)


def test_random_masks_are_for_scope_head():
    config = broken(["pruning", "random_masks"], 100)
    assert read_studies(config, SCHEMA)["demo"].random_masks == 100
    config["studies"]["demo"]["finetuning"]["scope"] = "all"
    with pytest.raises(UserError, match=r"random_masks is 100, .* set finetuning.scope to head"):
        read_studies(config, SCHEMA)


def test_a_study_knows_whether_its_criteria_look_at_data():
    studies = (
        read_studies(broken(["pruning", "modes"], [m]), SCHEMA) for m in ("obd", "per_class")
    )
    assert [study["demo"].looks_at_data for study in studies] == [True, False]


@pytest.mark.parametrize(
    ("precision", "order", "found"),
    [
        ("float32", None, False),
        ("tf32", None, True),
        ("bfloat16", None, True),
        ("float32", True, True),
        ("bfloat16", False, False),
    ],
)
def test_an_order_that_is_left_open_follows_the_precision(precision, order, found):
    config = broken(["precision"], precision)
    config["studies"]["demo"]["training"]["channels_last"] = order
    demo = read_studies(config, SCHEMA)["demo"]
    assert demo.settings["training"]["channels_last"] is found
    assert demo.recipe("digits", "small_vgg")["channels_last"] is found


def test_one_data_set_may_stand_in_every_place():
    demo = read_studies(broken(["data"], {"any": "digits"}), SCHEMA)["demo"]
    assert demo.pairs == read_studies(CONFIG, SCHEMA)["demo"].pairs
    assert len(demo.figures) == 18


def test_a_place_that_is_given_goes_before_any():
    data = {"large_images": "fashion-mnist", "any": {"dataset": "digits", "examples": 500}}
    demo = read_studies(broken(["data"], data), SCHEMA)["demo"]
    assert demo.roles.data_set("hundred_classes", "fig05") == "digits"
    assert demo.roles.data_set("large_images", "fig05") == "fashion-mnist"
    assert demo.examples("digits", "small_vgg") == 500
    assert demo.examples("fashion-mnist", "small_vgg") is None


def test_a_pair_that_is_asked_for_in_two_ways_is_refused():
    data = {
        "ten_classes": {"dataset": "digits", "examples": 300},
        "hundred_classes": {"dataset": "digits", "examples": 600},
    }
    config = broken(["data"], data | {"large_images": "digits"})
    with pytest.raises(
        UserError, match=r"studies.demo has small_alexnet on digits twice and in two"
    ):
        read_studies(config, SCHEMA)
    same = broken(["data"], dict.fromkeys([*data, "large_images"], data["ten_classes"]))
    assert read_studies(same, SCHEMA)["demo"].pairs == read_studies(CONFIG, SCHEMA)["demo"].pairs
