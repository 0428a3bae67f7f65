"""Disks that are full or may not be written to, real ones: a sentence, status 3, nothing half-made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_data import blobs

ROOT = Path(__file__).parents[3]
STAGE = [sys.executable, "-c", "from ap3.cli import main; main()"]
TRAINING = [*STAGE, "baseline", "--data", "data.safetensors", "--model", "small_vgg"]
TRAINING += ["--image-size", "16", "--epochs", "1", "--batch-size", "20", "--learning-rate", "0.01"]
TRAINING += ["--device", "cpu", "--checkpoint", "c.safetensors", "--history", "h.csv"]

# A folder of a file system of so many kilobytes, which nobody else sees and which ends with it.
FULL = ["unshare", "--mount", "--map-root-user", "sh", "-e", "-c"]
ON_A_FULL_DISK = """
mount -t tmpfs -o size=$1k none full && cp data.safetensors full && cd full && shift
"$@" && status=0 || status=$?
ls -A; exit $status
"""

# The superuser may write anywhere, unless he gives that right away.
MEEKLY = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 else []


def run(*command, folder):
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, encoding="utf-8"
    )


def needs(folder, *command):
    """Skip where this system does not let `command` run."""
    try:
        tried = run(*command, folder=folder)
        why = tried.stderr.strip() if tried.returncode else ""
    except FileNotFoundError as error:
        why = str(error)
    if why:
        pytest.skip(f"not permitted here: {why}")


def test_a_disk_that_fills_up_ends_in_a_sentence_and_keeps_what_it_had(tmp_path):
    blobs().save(tmp_path / "data.safetensors")
    (tmp_path / "full").mkdir()
    needs(tmp_path, *FULL, ON_A_FULL_DISK, "sh", "100", "true")
    done = run(*FULL, ON_A_FULL_DISK, "sh", "100", *TRAINING, folder=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("ap3: c.safetensors could not be written (")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.split() == ["data.safetensors"]


def test_a_folder_that_is_read_only_ends_in_a_sentence(tmp_path):
    needs(tmp_path, *MEEKLY, "true")
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o555)
    done = run(*MEEKLY, *STAGE, "figure", "fig01", "--pdf", "shut/a.pdf", folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "ap3: shut/a.pdf could not be written (Permission denied); make room there, or choose "
        "another folder that can be written to."
    ]
    assert not list(shut.iterdir())


def test_results_that_are_read_only_stop_a_workflow_before_any_job(tmp_path):
    needs(tmp_path, *MEEKLY, "true")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/.lock").touch()
    (tmp_path / "results").chmod(0o555)
    take = "from pathlib import Path; from ap3.files import results_lock; results_lock.take(Path('results'))"
    done = run(*MEEKLY, sys.executable, "-c", take, folder=tmp_path)
    assert done.stderr.splitlines()[-1] == (
        "ap3.errors.SystemRefusedError: results cannot be written to (Permission denied); make it "
        "writable, or run in another folder."
    )


@pytest.mark.parametrize("place", ["results/data", "results/logs/data"])
def test_a_read_only_place_among_the_results_stops_a_workflow_before_any_job(tmp_path, place):
    needs(tmp_path, *MEEKLY, "true")
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place).chmod(0o555)
    workflow = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    workflow += ["--configfile", str(ROOT / "config.yaml"), "--cores", "1"]
    done = run(*MEEKLY, *workflow, "results/data/digits.safetensors", folder=tmp_path)
    assert done.returncode == 1
    assert f"{place} cannot be written to (Permission denied); make it writable" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Job 0" not in done.stderr
