"""The recipes of the containers: what can be said of them without building any."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = (ROOT / "Dockerfile").read_text(encoding="utf-8")
APPTAINER = (ROOT / "envs/ap3.def").read_text(encoding="utf-8")
NEEDED = {
    *("ap3", "workflow", "profiles", "envs", "Snakefile", "config.yaml"),
    *("pyproject.toml", "README.md", "LICENSE"),
}


def test_all_that_is_needed_is_copied():
    copied = set(re.findall(r"^    (\S+) /ap3/\1$", APPTAINER, re.MULTILINE))
    assert copied == NEEDED
    assert all((ROOT / name).exists() for name in copied)
    assert "COPY . /ap3\n" in DOCKER
    assert not NEEDED & set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())


def test_both_install_the_same_at_the_pins():
    install = "pip install --no-cache-dir --constraint /ap3/envs/constraints.txt --editable '/ap3[workflow]'"
    assert install in DOCKER
    assert install in APPTAINER


def test_both_have_a_compiler_for_the_setting_compile():
    """g++ brings gcc and the headers of C; Python's own are in the image."""
    for recipe in (DOCKER, APPTAINER):
        assert "apt-get install --yes --no-install-recommends g++" in recipe


def test_the_python_is_that_of_the_conda_environment():
    dependencies = yaml.safe_load((ROOT / "envs/ap3.yaml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    (version,) = (str(entry)[7:] for entry in dependencies if str(entry).startswith("python="))
    assert f"FROM python:{version}-slim\n" in DOCKER
    assert f"From: python:{version}-slim\n" in APPTAINER


def test_nothing_runs_as_root():
    (user,) = re.findall(r"^USER (\S+)$", DOCKER, re.MULTILINE)
    assert user != "root"
    assert f"useradd --system {user}\n" in DOCKER


@pytest.fixture
def command():
    """The command that both run, with the checkout in the place of the image's."""
    (docker,) = re.findall(r"^ENTRYPOINT (.+)$", DOCKER, re.MULTILINE)
    (apptainer,) = re.findall(r'exec (.+) "\$@"$', APPTAINER, re.MULTILINE)
    assert json.loads(docker) == shlex.split(apptainer)
    return [word.replace("/ap3/", f"{ROOT}/") for word in json.loads(docker)]


def test_the_command_plans_a_figure_in_a_folder_of_the_user(command, tmp_path):
    scripts = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": scripts, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "fig01", "--dry-run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert "results/demo/figures/fig01.pdf" in printed
    assert f"{ROOT}/profiles/default" in printed
