"""What is planned for a network of the user's own, weights from a file, a part of the data."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WEIGHTS = "my weights.pth"


@pytest.fixture
def plan(tmp_path):
    """Dry-runs a study of a network; gives the exit status and all that is printed."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "own_networks.py").write_text(
        "def tiny(classes, image_size): ...\n", encoding="utf-8"
    )
    (tmp_path / WEIGHTS).touch()

    def run(model: str, **changes: dict) -> tuple[int, str]:
        study = own(model)
        for part, keys in changes.items():
            study["own"][part] |= keys
        (tmp_path / "own.yaml").write_text(
            yaml.safe_dump({"study": "own", "studies": study}), encoding="utf-8"
        )
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        options = ["--directory", str(tmp_path), "--configfile", "config.yaml", "own.yaml"]
        done = subprocess.run(
            [*command, "--dry-run", "--printshellcmds", *options],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout + done.stderr

    return run


def own(model: str) -> dict:
    network = {"model": model, "epochs": 1, "learning_rate": 0.1, "weights": WEIGHTS}
    return {
        "own": {
            "trials": 1,
            "data": {"ten_classes": {"dataset": "digits", "examples": 500}},
            "networks": {"others": {"mine": network}},
            "training": {"batch_size": 32},
            "pruning": {"modes": ["lowest"], "ratios": [0.5]},
            "finetuning": {"epochs": 1, "scope": "all"},
        }
    }


def test_weights_from_a_file_and_a_part_of_the_data_reach_every_stage(plan):
    status, printed = plan("own_networks:tiny")
    assert status == 0, printed
    (train,) = commands(printed, "baseline")
    assert f"--weights '{WEIGHTS}'" in train
    assert "--image-size" not in train
    assert "--data results/data/digits.500.safetensors" in train
    (tune,) = commands(printed, "finetune")
    assert "--data results/data/digits.500.safetensors" in tune
    (cut,) = commands(printed, "subset")
    assert "--data results/data/digits.safetensors --examples 500" in cut


def test_random_masks_of_an_own_network_are_tuned_by_its_recipe(plan):
    masks = {"modes": ["lowest", "random"], "random_masks": 3}
    status, printed = plan("own_networks:tiny", pruning=masks, finetuning={"scope": "head"})
    assert status == 0, printed
    (draws,) = commands(printed, "draws")
    assert "--masks 3" in draws
    assert "--epochs 1" in draws


def commands(printed: str, stage: str) -> list[str]:
    lines = {line for line in printed.splitlines() if f"ap3 {stage} " in line}
    return sorted(lines)


def test_a_module_that_is_not_found_ends_in_one_sentence_before_any_job(plan):
    status, printed = plan("own_netwroks:tiny")
    assert status == 1
    assert (
        "studies.own.networks.mine.model is 'own_netwroks:tiny', but its module 'own_netwroks' "
        "is not found; put its folder on PYTHONPATH, or install it." in printed
    )
    assert "Traceback" not in printed
    assert "Job " not in printed
