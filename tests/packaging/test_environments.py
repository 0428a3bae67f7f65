"""pyproject.toml, the pins and the conda environment say the same; so do the version's places."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import ap3

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
ENVIRONMENT = yaml.safe_load((ROOT / "envs/ap3.yaml").read_text(encoding="utf-8"))["dependencies"]


def pins(lines):
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(entry.name): str(entry.specifier) for entry in requirements}


CONSTRAINTS = pins((ROOT / "envs/constraints.txt").read_text(encoding="utf-8").splitlines())


def requirements(*extras):
    """Give the dependencies of the package with some extras, those of ap3's own extras in place."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    found = [Requirement(line) for line in lines]
    inner = [extra for entry in found if entry.name == PROJECT["name"] for extra in entry.extras]
    direct = {
        canonicalize_name(entry.name): entry for entry in found if entry.name != PROJECT["name"]
    }
    return direct | (requirements(*inner) if inner else {})


def test_every_dependency_is_pinned_to_a_version_that_it_allows():
    for name, needed in requirements(*EXTRAS).items():
        assert re.fullmatch(r"==[\w.]+", CONSTRAINTS[name])
        assert needed.specifier.contains(CONSTRAINTS[name].removeprefix("=="))


def test_the_conda_environment_holds_what_jobs_need_at_the_same_pins():
    (pip,) = (entry["pip"] for entry in ENVIRONMENT if isinstance(entry, dict))
    assert pins(pip) == {name: CONSTRAINTS[name] for name in requirements("workflow")}


def test_the_conda_environment_has_a_python_that_the_package_runs_on():
    (python,) = (entry for entry in ENVIRONMENT if str(entry).startswith("python="))
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))


def test_make_installs_every_extra():
    (named,) = re.findall(
        r"^EXTRAS := \.\[(.*)\]$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(named.split(",")) >= set(EXTRAS) - {"pyro", "report"}  # which workflow brings


def test_the_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == citation["version"] == ap3.__version__
    assert f"## {ap3.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["license"] == PROJECT["license"]
