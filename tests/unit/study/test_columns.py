"""No column of any table is undocumented, and nothing is documented that is not there."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

from ap3.measuring import catalogue
from ap3.study import columns

ROOT = Path(__file__).parents[3]
PUBLISHED = sorted((ROOT / "docs/results").rglob("*.csv*"))


def undocumented(table: str, names: list[str]) -> list[str]:
    return [name for name in names if columns.column(table, name) is None]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_column_of_a_published_table_is_documented(path):
    assert undocumented(path.name.partition(".")[0], list(pd.read_csv(path, nrows=1))) == []


def test_every_measure_is_documented_with_its_unit():
    for measure in catalogue.MEASURES:
        found = columns.column("measures", measure.column)
        assert found is not None
        assert found.unit, f"{measure.column} has no unit in ap3/study/columns.yaml"
        for name in measure.scales:
            assert columns.column("measures", name).unit


def test_a_law_of_the_users_own_is_documented():
    assert undocumented("measures", ["ap3_own_laplace", "ap3_own_laplace_from_control"]) == []
    assert undocumented("measures", ["ap3_laplace"]) == ["ap3_laplace"]


def test_every_file_that_defines_a_column_exists():
    tables = [columns.table(name) for name in columns.names()]
    places = {each.where for table in tables for each in (table, *table.columns)}
    places |= {each.where for each in columns.shared()} - {""}
    assert [place for place in sorted(places) if not (ROOT / place).is_file()] == []


def test_the_page_is_current():
    script = runpy.run_path(str(ROOT / "docs/tables.py"))
    current = script["page"]() == (ROOT / "docs/tables.md").read_text(encoding="utf-8")
    assert current, "type: python docs/tables.py"
