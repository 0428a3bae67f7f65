"""Descriptions of figures: closed, asked what they need, mistakes answered in one sentence."""

import subprocess
import sys

import pytest
import yaml
from figure_measures import NETWORKS, ONE, THREE

from ap3.errors import UserError
from ap3.figures import Roles, describe, names

MINE = {
    "kind": "curves",
    "title": "Mine",
    "caption": "Of mine.",
    "networks": ["mine"],
    "data": ["photos"],
    "metrics": ["ap2"],
    "splits": ["test"],
    "panels": ["ratios_per_mode"],
}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "mine.yaml"
        path.write_text(
            content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8"
        )
        return path

    return write


def refusal(figure, changes=None):
    with pytest.raises(UserError) as refused:
        describe(figure, changes)
    said = str(refused.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("name", names())
def test_every_figure_of_the_package_is_described(name):
    description = describe(name)
    assert description.name == name
    assert description.title
    assert description.caption.endswith(".")


def test_a_figure_needs_only_its_own_networks_and_data():
    assert describe("fig01").needs(THREE) == set()
    assert describe("fig04").needs(THREE) == {
        ("small_vgg", "tiny-imagenet"),
        ("small_resnet", "tiny-imagenet"),
    }
    assert describe("fig05").needs(THREE) == {
        ("small_resnet", "cifar10"),
        ("small_resnet", "cifar100"),
    }
    assert describe("fig12").needs(THREE) == {("small_resnet", "cifar10")}
    assert describe("fig05").needs(ONE) == {("small_resnet", "digits")}


def test_blocks_stand_in_the_order_of_the_description():
    assert describe("fig04").blocks(THREE) == [
        ("small_vgg", "tiny-imagenet"),
        ("small_resnet", "tiny-imagenet"),
    ]


def test_a_role_that_is_not_mapped_is_refused_by_name():
    with pytest.raises(UserError, match=r"fig06 needs the network role 'vit'.*vgg=small_vgg"):
        describe("fig06").needs(Roles({"vgg": "small_vgg"}, THREE.data))
    with pytest.raises(UserError, match=r"fig06 needs the data slot 'large_images'.*nothing"):
        describe("fig06").needs(Roles(NETWORKS, {}))


def test_a_description_of_ones_own_is_read_by_its_path(write):
    description = describe(write(MINE))
    assert description.name == "mine"
    assert description.needs(Roles({"mine": "a"}, {"photos": "b"})) == {("a", "b")}


def test_changes_are_checked_like_the_description():
    assert describe("fig02", {"ratios": [0.1]}).ratios == (0.1,)
    assert "'widht'; did you mean 'width'?" in refusal("fig02", {"widht": 3})


def test_an_unknown_key_is_refused_with_the_nearest(write):
    said = refusal(write(MINE | {"metric": ["ap2"]}))
    assert "mine: there is no key 'metric'; did you mean 'metrics'?" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "curve"}, ["'curve'", "did you mean 'curves'?"]),
        ({"kind": "comparison"}, ["no key 'splits'"]),
        ({"kind": "schematic"}, ["no key"]),
        ({"splits": ["tests"]}, ["splits[0]", "'tests'", "did you mean 'test'?"]),
        ({"panels": ["ratio_per_mode"]}, ["panels[0]", "did you mean 'ratios_per_mode'?"]),
        ({"panels": []}, ["panels"]),
        ({"metrics": ["ap2", "ap3_gaussian"]}, ["metrics"]),
        ({"ratios": [1.5]}, ["ratios[0]", "1.5"]),
        ({"ratios": [0.1, 0.1]}, ["ratios"]),
        ({"first_epoch": -1}, ["first_epoch", "-1"]),
        ({"width": "wide"}, ["width", "'wide'"]),
        ({"width": 1}, ["width", "1"]),
        ({"networks": "vgg"}, ["networks", "'vgg'"]),
        ({"control": 1}, ["control"]),
        ({"pd": "acuracy"}, ["pd", "did you mean 'accuracy'?"]),
        ({"metrics": None}, ["metrics"]),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(change, words, write):
    said = refusal(write(MINE | change))
    for word in ["mine", *words]:
        assert word in said


@pytest.mark.parametrize("key", ["title", "networks", "splits"])
def test_a_missing_key_is_refused_by_name(key, write):
    content = {k: v for k, v in MINE.items() if k != key}
    assert f"mine: the description lacks the key '{key}'" in refusal(write(content))


@pytest.mark.parametrize("text", ["", "[1, 2]", "kind: [curves]", "kind: {"])
def test_a_file_that_is_no_description_is_refused(text, write):
    assert "mine" in refusal(write(text))


def test_an_unknown_figure_is_refused_with_the_nearest(tmp_path):
    assert "there is no figure 'fig2'" in refusal("fig2")
    assert "did you mean 'fig02'" in refusal("fig2")
    assert "did you mean 'fig02'" in refusal("2")
    assert "did you mean 'fig02'" in refusal("fog02")
    assert "did you mean" not in refusal("fig99")
    assert "fig01 to fig18" in refusal("picture")
    assert "none.yaml" in refusal(tmp_path / "none.yaml")


def test_roles_are_read_as_they_are_typed():
    roles = Roles.parse(["vgg=vgg16"], ["ten_classes=a=b"])
    assert roles == Roles({"vgg": "vgg16"}, {"ten_classes": "a=b"})
    for wrong in (["=vgg16"], ["vgg="], ["vgg=a", "vgg=b"], ["vgg", "vgg16"]):
        with pytest.raises(UserError, match="vgg"):
            Roles.parse(wrong, [])


def test_asking_what_a_figure_needs_imports_nothing_heavy():
    code = (
        "import sys; from ap3.figures import Roles, describe; import ap3.stages.figure;"
        "describe('fig06').needs(Roles({'vit': 'a'}, {'large_images': 'b'}));"
        "print(*{'matplotlib', 'pandas', 'numpy', 'torch', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.strip() == ""
