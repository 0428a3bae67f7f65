"""Where there is no Slurm, its profile says so before any job."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("bash", "sh", "env", "which")


@pytest.fixture
def path(tmp_path):
    """A path on which there are a shell and Snakemake, but no Slurm, even if it is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(shutil.which(name))
    return f"{Path(sys.executable).parent}{os.pathsep}{folder}"


def test_one_sentence_and_no_job(tmp_path, path):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    shutil.copy(ROOT / "config.yaml", tmp_path)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--profile", str(ROOT / "profiles/slurm")],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("There is no Slurm here (no sbatch on the path); start this on a login")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
