"""What a study says of its networks: their weights, input size, roles, and share of the data."""

from pathlib import Path

import pytest
import yaml

from ap3.errors import UserError
from ap3.study.settings import Study, read_studies

ROOT = Path(__file__).parents[3]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))


def study(networks: dict, **changes) -> Study:
    settings = {
        "data": {"ten_classes": "digits"},
        "networks": networks,
        "image_size": 32,
        "training": {"batch_size": 8},
        "pruning": {"modes": ["lowest"], "ratios": [0.5]},
        "finetuning": {"epochs": 1},
    } | changes
    return read_studies({"study": "own", "studies": {"own": settings}}, SCHEMA)["own"]


def network(model: str, **options) -> dict:
    return {"model": model, "epochs": 2, "learning_rate": 0.1} | options


def test_networks_start_from_nothing_unless_said():
    own = study({"vgg": network("small_vgg"), "resnet": network("resnet50", weights="DEFAULT")})
    assert own.weights("digits", "small_vgg") == "none"
    assert own.weights("digits", "resnet50") == "DEFAULT"


def test_a_networks_own_input_size_replaces_the_studys():
    own = study({"vgg": network("small_vgg"), "alexnet": network("alexnet", image_size=63)})
    assert own.image_size("digits", "small_vgg") == 32
    assert own.image_size("digits", "alexnet") == 63


def test_without_an_input_size_that_of_the_weights_is_taken():
    own = study({"resnet": network("resnet50", weights="DEFAULT")}, image_size=None)
    assert own.image_size("digits", "resnet50") is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weights": "defualt"}, "weights is 'defualt', but must be none, DEFAULT, IMAGENET1K_V1"),
        ({"weights": 3}, "weights is 3, but must be text"),
        ({"wieghts": "none"}, "did you mean 'weights'"),
        ({"image_size": 0}, "image_size is 0, but must be at least 1"),
    ],
)
def test_a_wrong_setting_of_a_network_is_named(options, says):
    with pytest.raises(UserError, match=says):
        study({"resnet": network("resnet50", **options)})


def test_a_network_of_unknown_input_size_is_refused():
    with pytest.raises(UserError, match=r"networks.vgg has neither weights nor image_size"):
        study({"vgg": network("small_vgg")}, image_size=None)


def test_a_module_that_is_not_found_is_refused():
    with pytest.raises(UserError, match=r"networks.vgg.model is 'nowhere:net', but its module"):
        study({"vgg": network("nowhere:net")})


def test_networks_that_no_figure_shows_have_a_role_of_their_own():
    own = study({"others": {"shufflenet": network("shufflenet_v2_x0_5")}})
    assert own.pairs == [("digits", "shufflenet_v2_x0_5")]
    assert own.roles.networks == {"shufflenet": "shufflenet_v2_x0_5"}
    assert own.figures == ["fig01"]
    assert own.recipe("digits", "shufflenet_v2_x0_5")["learning_rate"] == 0.1


@pytest.mark.parametrize(
    ("networks", "says"),
    [
        ({"resnett": network("resnet50")}, "did you mean 'resnet'"),
        ({"others": {"resnet": network("resnet50")}}, "that is not one of the paper's"),
        ({"others": {}}, "must hold at least 1"),
        ({"others": {"tiny": network("tinynet")}}, r"networks.tiny.model is 'tinynet'"),
    ],
)
def test_a_role_is_one_of_the_papers_or_named_among_the_others(networks, says):
    with pytest.raises(UserError, match=says):
        study(networks)


def test_a_study_may_use_a_part_of_its_data():
    data = {"ten_classes": {"dataset": "digits", "examples": 100, "epochs": 7}}
    own = study({"vgg": network("small_vgg")}, data=data)
    assert own.examples("digits", "small_vgg") == 100
    assert own.recipe("digits", "small_vgg")["epochs"] == 7
    assert "examples" not in own.recipe("digits", "small_vgg")
    assert study({"vgg": network("small_vgg")}).examples("digits", "small_vgg") is None
