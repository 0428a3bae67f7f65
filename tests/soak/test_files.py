"""A short cut of the fuzzing of readers; `make soak` tries thousands."""

import random
import shutil
import subprocess

import fences
import files
import pytest
import study_tables
import torch_files
from fuzz_data import small_images

from ap3.config.variants import Variant
from ap3.errors import UserError
from ap3.files.storage import load, save
from ap3.models.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    files.make(folder, small_images())
    return folder


@pytest.mark.parametrize("name", files.READERS)
def test_a_damaged_or_hostile_file_is_read_or_refused_in_a_sentence(name, good, tmp_path):
    file = name.rpartition(" ")[2]
    study_tables.put_beside(name, good, tmp_path)
    shutil.copy(good / file, tmp_path)
    assert files.verdict(name, tmp_path / file) == "read"
    chance = random.Random(name)
    for _ in range(5 if name in study_tables.STAGES else 40):
        files.attack(name, good, tmp_path, chance)


def test_drawn_files_of_torch_are_read_and_refused(tmp_path):
    chance, found = random.Random(0), []
    for way in torch_files.WAYS * 8:
        torch_files.write(tmp_path / "weights.pt", way, chance)
        found.append(files.verdict("two networks in weights.pt", tmp_path / "weights.pt"))
    assert 0.15 < found.count("refused") / len(found) < 0.85


def _compute_for_ever():
    while True:
        pass


def test_the_fences_hold(tmp_path):
    with pytest.raises(AssertionError, match="seconds"), fences.seconds(0.1):
        _compute_for_ever()
    with pytest.raises(MemoryError), fences.memory(50):
        bytearray(8 << 30)  # more than what a long-lived process may hold in reserve
    with (
        pytest.raises(AssertionError, match="elsewhere"),
        fences.writing_only_to(tmp_path / "here"),
    ):
        (tmp_path / "elsewhere").touch()
    with pytest.raises(AssertionError, match="half"), fences.writing_only_to(tmp_path):
        (tmp_path / "half").touch()
    with pytest.raises(AssertionError, match="Popen"), fences.writing_only_to(tmp_path):
        subprocess.run(["true"], check=True)


def test_a_checkpoint_never_chooses_code_to_run(good, tmp_path):
    arrays, about = load(good / "baseline.safetensors")
    about["identity"]["model"] = "os:kill"
    save(tmp_path / "c.safetensors", arrays, **about)
    with pytest.raises(UserError, match=r"names the code os:kill .* add --model os:kill"):
        Checkpoint.load(tmp_path / "c.safetensors", files.CPU)


def test_a_variant_never_names_a_path():
    with pytest.raises(UserError, match="names no variant"):
        Variant.parse("../../evil-0.3")
