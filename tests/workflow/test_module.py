"""The workflow as a module of another one, as docs/ecosystem.md shows it."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FILE = re.compile(r"^```\w+\n# (Snakefile|[\w.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def other(tmp_path):
    """Runs Snakemake in the other workflow's folder."""
    for name, text in _FILE.findall((ROOT / "docs/ecosystem.md").read_text(encoding="utf-8")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "ap3-checkout").symlink_to(ROOT)
    return partial(snakemake, tmp_path)


def snakemake(folder, *arguments):
    """Run Snakemake in `folder`; give the exit status and what is printed."""
    scripts = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": scripts, "PYTHONPATH": str(ROOT)}
    command = ["snakemake", "--cores", "1", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    return done.returncode, done.stdout + done.stderr


def test_its_target_plans_the_whole_study(other):
    status, printed = other("--dry-run")
    assert status == 0, printed
    stages = set(re.findall(r"^ap3_(\w+) +1$", printed, re.MULTILINE))
    study = {f"{stage}_mine" for stage in ("prune", "finetune", "measure")}
    assert stages == study | {"data", "baseline", "features", "covariance", "tables"}


def test_it_plans_where_snakedeploy_put_it(tmp_path):
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").write_text(
        f'configfile: "config/config.yaml"\n'
        f'module ap3:\n    snakefile: "{ROOT}/workflow/Snakefile"\n    config: config\n'
        "use rule * from ap3\n",
        encoding="utf-8",
    )
    shutil.copytree(ROOT / "config", tmp_path / "config")
    status, printed = snakemake(tmp_path, "--dry-run")
    assert status == 0, printed
    assert "finetune_demo" in printed


@pytest.mark.slow
def test_its_rules_run(other, tmp_path):
    status, printed = other("results/data/digits.safetensors")
    assert status == 0, printed
    assert (tmp_path / "results/data/digits.safetensors").stat().st_size > 100_000
