"""Where jobs run: on a card if there is one, unless the study or the configuration says otherwise."""

import os
import re

import pytest
from checkout import MINI, Checkout

ON_CPU = MINI.replace("device: cpu\n", "").replace("threads: 1", "threads: 1\n    device: cpu")


@pytest.fixture
def checkout(tmp_path):
    """A study that says that it runs on the CPU."""
    return Checkout.make(tmp_path / "checkout", ON_CPU)


@pytest.fixture
def with_card(tmp_path, monkeypatch):
    """Plays a card that `nvidia-smi` lists."""
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho GPU 0\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")


@pytest.mark.usefixtures("with_card")
@pytest.mark.parametrize(("given", "device"), [((), "cpu"), (("--config", "device=cuda"), "cuda")])
def test_a_study_says_where_it_runs_and_the_configuration_goes_before_it(checkout, given, device):
    done = checkout.run("--dry-run", "--printshellcmds", *given)
    # Two trials of baseline, features and finetune.
    assert re.findall(r"--device (\S+)", done.stdout) == [device] * 6


@pytest.mark.slow
@pytest.mark.usefixtures("with_card")
def test_beside_a_card_stages_of_the_cpu_start_from_a_warm_process_and_leave_it_alone(checkout):
    done = checkout.run("--resources", "gpu=1")
    assert done.returncode == 0, done.stderr
    logs = [*checkout.folder.glob("results/mini/digits/small_vgg/trial*/logs/features.log")]
    said = [log.read_text(encoding="utf-8") for log in logs]
    assert len(said) == 2
    # What the stage itself never imports was there before it.
    assert all("on cpu;" in each and "matplotlib" in each for each in said)
