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
    assert len(demo.variants) == 13
    assert len(demo.figures) == 18


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["trails"], 2, ["'trails'", "'trials'"]),
        (["trials"], "two", ["trials", "'two'", "whole number"]),
        (["study"], "dmeo", ["study", "'dmeo'", "'demo'"]),
        (["data", "ten_classes"], "digit", ["ten_classes", "'digit'", "'digits'"]),
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


def test_a_name_that_cannot_be_printed_breaks_no_line():
    wrong = CONFIG | {"studies": CONFIG["studies"] | {"two\vlines": []}}
    with pytest.raises(UserError) as refusal:
        read_studies(wrong, SCHEMA)
    assert r"studies.two\x0blines" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 2
