"""No line installs the project that is called `ap3` on the package index: it is another one."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_FOLDERS = (".ci", ".github", "ap3", "bench", "config", "docs", "envs", "examples", "profiles")
_FOLDERS += ("tests", "workflow")
_TEXTS = (".cff", ".def", ".html", ".ipynb", ".md", ".py", ".rst", ".sh", ".smk", ".toml", ".yaml")
_FILES = sorted(
    file
    for place in (ROOT, *(ROOT / folder for folder in _FOLDERS))
    for file in (place.glob("*") if place == ROOT else place.rglob("*"))
    if file.is_file() and (file.suffix in _TEXTS or file.name in ("Dockerfile", "Makefile"))
)
# `ap3` as a requirement: behind a command that installs and its options, alone in a list, or with extras.
_GAP = r"(?:[ \t]|\\\n)+"
_INSTALL = (
    rf"(?:pip3?|uv|pipx|poetry|conda|mamba|micromamba|pixi){_GAP}(?:pip{_GAP})?(?:install|add)"
)
_DANGEROUS = re.compile(
    rf"{_INSTALL}(?:{_GAP}(?:-\S+|'[^'\n]*'|\"[^\"\n]*\"|[\w.=<>~!,/-]+))*?{_GAP}['\"]?ap3(?![\w/-])"
    r"|^ *- ['\"]?ap3['\"]? *(?:[=<>~!].*)?$"
    rf"|(?<![\w/.-])ap3\[(?:{'|'.join(_PROJECT['optional-dependencies'])})[],]",
    re.MULTILINE,
)


def dangerous(text: str) -> list[str]:
    """Find what would install a stranger's `ap3`."""
    return _DANGEROUS.findall(text)


@pytest.mark.parametrize(
    "line",
    [
        "pip install ap3",
        "pip install 'ap3[report]'",
        "pip install --upgrade ap3",
        "`pip install ap3`",
        'install "ap3[pyro]"',
        "pip install torch ap3==0.1.0",
        "pip3 install ap3",
        "uv pip install ap3",
        "uv add ap3",
        "pipx install ap3",
        "conda install --channel conda-forge ap3",
        "pip install 'numpy>=2' ap3",
        "pip install numpy>=2 ap3",
        "pip install \\\n    ap3",
        "dependencies:\n  - ap3\n  - numpy",
    ],
)
def test_a_dangerous_line_is_found(line):
    assert dangerous(line)


@pytest.mark.parametrize(
    "line",
    [
        "pip install .",
        "pip install '.[workflow]'",
        "pip install ap3-pruning",
        "pip install ap3_pruning-0.1.0-py3-none-any.whl",
        "pip install --editable '/ap3[workflow]'",
        "pip install git+file:///home/me/ap3",
        "- ap3 compare before.safetensors after.safetensors",
    ],
)
def test_a_safe_line_is_left_alone(line):
    assert not dangerous(line)


@pytest.mark.parametrize("file", _FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_line_installs_a_stranger(file):
    if file != Path(__file__):
        assert dangerous(file.read_text(encoding="utf-8")) == []


def test_the_distribution_has_a_name_of_its_own():
    assert _PROJECT["name"] == "ap3-pruning"
    assert set(_PROJECT["scripts"]) == {"ap3"}
