"""The package has floors: CONTRIBUTING lists them, and every import goes down or stays."""

import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PICTURE = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("<!-- floors -->")[2]
FLOORS = re.findall(r"^\| `(\w+)`", PICTURE.partition("<!-- end of floors -->")[0], re.MULTILINE)
"""From the lowest to the highest."""


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("ap3", exclude_type_checking_imports=True, cache_dir=None)


def floor(module: str) -> int:
    return FLOORS.index(module.split(".")[1])


def test_the_floors_are_the_packages(imports):
    there = {module.split(".")[1] for module in imports.modules if module != "ap3"}
    assert sorted(FLOORS) == sorted(there)


def test_no_module_imports_from_a_floor_above(imports):
    upwards = [
        f"{importer} imports {imported}"
        for importer in imports.modules - {"ap3"}
        for imported in imports.find_modules_directly_imported_by(importer) - {"ap3"}
        if floor(imported) > floor(importer)
    ]
    assert upwards == []


def test_no_modules_import_one_another_in_a_circle(imports):
    circles = []
    for importer in imports.modules:
        for imported in imports.find_modules_directly_imported_by(importer):
            back = imports.find_shortest_chain(importer=imported, imported=importer)
            if back and "ap3" not in (importer, imported):
                circles.append(" > ".join((importer, *back)))
    assert circles == []


def test_few_files_stand_beside_the_packages():
    beside = sorted(path.name for path in (ROOT / "ap3").glob("*.py"))
    assert beside == ["__init__.py", "errors.py", "metrics.py"]


def test_a_package_has_no_name_of_a_public_function():
    import ap3

    public = set(ap3.__all__) - {"latent"}
    assert not public & set(FLOORS) - {"latent"}
