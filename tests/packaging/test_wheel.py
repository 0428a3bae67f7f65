"""The package as a wheel, installed outside the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "ap3"):
        (source / name).symlink_to(ROOT / name)
    out = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    _pip("install", "--no-deps", "--target", str(folder), str(wheel))
    return folder


def _pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    offline = os.environ | {"PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [*command, *arguments], env=offline, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _python(installed, folder, *arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def _ap3(installed, folder, *arguments):
    return _python(installed, folder, "-c", "import ap3.cli; ap3.cli.main()", *arguments)


def test_the_wheel_holds_every_file_of_the_package(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "ap3").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= held
    assert not [name for name in held - ours if not name.startswith("ap3_pruning-")]


def test_compare_and_a_figure_work_far_from_the_checkout(installed, tmp_path):
    save_file({"fc.weight": np.ones((2, 3), np.float32)}, tmp_path / "baseline.safetensors")
    pruned = np.array([[1, 0, 1], [0, 1, 1]], np.float32)
    save_file({"fc.weight": pruned}, tmp_path / "pruned.safetensors")
    compared = _ap3(
        installed, tmp_path, "compare", "baseline.safetensors", "pruned.safetensors", "--csv"
    )
    assert compared.returncode == 0, compared.stderr
    assert compared.stdout.splitlines()[1].startswith("fc,6,0.33333")
    drawn = _ap3(installed, tmp_path, "figure", "fig01", "--pdf", "fig01.pdf")
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "fig01.pdf").read_bytes().startswith(b"%PDF")


def test_what_runs_is_what_was_installed(installed, tmp_path):
    done = _python(installed, tmp_path, "-c", "import ap3; print(ap3.__file__)")
    assert done.stdout.startswith(str(installed))


def test_the_notebook_runs_from_the_installed_package(installed, tmp_path):
    notebook = ROOT / "docs/notebooks/what-pruning-changed.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    last = "import ap3\nprint(explained)\nprint(ap3.__file__)"
    (tmp_path / "notebook.py").write_text("\n\n".join([*code, last]), encoding="utf-8")
    done = _python(installed, tmp_path, "notebook.py", MPLBACKEND="agg", COLUMNS="120")
    assert done.returncode == 0, done.stderr
    for said in (
        "test loss of the baseline",
        "sparsity",
        "pairs as the loss does",
        "of answers change",
    ):
        assert said in done.stdout
    assert str(installed) in done.stdout.splitlines()[-1]
    assert (tmp_path / "ap2-and-pd.png").stat().st_size > 5000
