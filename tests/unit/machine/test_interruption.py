"""Ctrl-C, a cluster's SIGTERM and a full disk: a sentence each, and nothing is half-written."""

import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from small_data import blobs

from ap3.training.resume import SECONDS

STAGE = [sys.executable, "-c", "from ap3.cli import main; main()"]


@pytest.fixture
def folder(tmp_path):
    blobs().save(tmp_path / "data.safetensors")
    return tmp_path


def training(folder, epochs, **options):
    command = [*STAGE, "baseline", "--data", "data.safetensors", "--model", "small_vgg"]
    command += ["--image-size", "16", "--epochs", str(epochs), "--batch-size", "20"]
    command += ["--learning-rate", "0.01", "--device", "cpu"]
    command += ["--checkpoint", "c.safetensors", "--history", "h.csv"]
    environment = os.environ | {SECONDS: "0"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_is_stopped_says_so_and_goes_on_afterwards(folder, number):
    resume = folder / "c.resume.safetensors"
    stopped = training(folder, 5000)
    while not resume.exists():
        assert stopped.poll() is None
        time.sleep(0.05)
    stopped.send_signal(number)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, said
    assert said.strip() == (
        "ap3: interrupted; nothing is half-written, and the same command makes what is missing."
    )
    assert sorted(path.name for path in folder.iterdir()) == [resume.name, "data.safetensors"]


def test_a_second_signal_does_not_disturb_the_end_of_a_stage():
    code = """
import os, signal
from ap3.machine import interruption
try:
    with interruption.signals():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
except interruption.Interrupted:
    os.kill(os.getpid(), signal.SIGTERM)
    print("cleaned up")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    assert (done.returncode, done.stdout) == (0, "cleaned up\n"), done.stderr


@pytest.mark.parametrize("module", ["typer", "numpy", "torch"])
def test_a_stage_that_is_stopped_while_it_imports_says_so(folder, module):
    code = f"""
import os, signal, sys
class Stopper:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stopper())
from ap3.cli import main
sys.argv = ["ap3", "prune", "lowest-0.5", "--checkpoint", "none.safetensors", "--out", "pruned"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 130
    assert done.stderr.startswith("ap3: interrupted; ")
    assert done.stderr.count("\n") == 1


def test_a_disk_that_is_full_ends_in_a_sentence_and_leaves_nothing(folder):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    full = training(folder, 1, preexec_fn=small_files)
    _, said = full.communicate(timeout=60)
    assert full.returncode == 3
    *_, last = said.splitlines()
    assert last.startswith("ap3: c.safetensors could not be written (")
    assert "make room there, or choose another folder" in last
    assert "Traceback" not in said
    assert [path.name for path in folder.iterdir()] == ["data.safetensors"]
