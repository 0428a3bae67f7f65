"""A short cut of the fuzzing of readers; `make soak` tries thousands."""

import random

import files
import pytest
from fuzz_data import cifar_archive, small_images

from ap3.checkpoints import Checkpoint
from ap3.errors import UserError
from ap3.storage import load, save
from ap3.variants import Variant


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    files.make(folder, small_images(), cifar_archive())
    return folder


@pytest.mark.parametrize("name", files.READERS)
def test_a_damaged_or_hostile_file_is_read_or_refused_in_a_sentence(name, good, tmp_path):
    assert files.verdict(name, good / name) == "read"
    chance = random.Random(name)
    for _ in range(40):
        files.attack(name, good, tmp_path, chance)


def test_a_checkpoint_never_chooses_code_to_run(good, tmp_path):
    arrays, about = load(good / "baseline.safetensors")
    about["identity"]["model"] = "os:kill"
    save(tmp_path / "c.safetensors", arrays, **about)
    with pytest.raises(UserError, match=r"names the code os:kill .* add --model os:kill"):
        Checkpoint.load(tmp_path / "c.safetensors", files.CPU)


def test_a_variant_never_names_a_path():
    with pytest.raises(UserError, match="names no variant"):
        Variant.parse("../../evil-0.3")
