"""The site is built without a warning, without network, and says what the schema and tables say."""

import re
import runpy

import pytest
import yaml
from pages import ROOT, type_in


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    type_in(f"sphinx-build -q -W --keep-going -d {folder}/trees '{ROOT}/docs' html", folder)
    return folder / "html"


def test_every_page_is_reached_from_the_first(site):
    contents = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"{page.stem}.html" in contents or page.stem == "index"


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.glob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]*(?:src|href)="([^"]+)"', page.read_text(encoding="utf-8")
        )
        assert [link for link in loaded if "//" in link] == []


def test_formulas_are_drawn_without_a_script(site):
    assert "<math" in (site / "extend.html").read_text(encoding="utf-8")


def test_the_api_reference_says_what_a_function_takes(site):
    assert "state dicts of one architecture" in (site / "library.html").read_text(encoding="utf-8")


def test_the_page_of_the_configuration_is_current():
    script = runpy.run_path(str(ROOT / "docs/configuration.py"))
    schema = yaml.safe_load(
        (ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")
    )
    current = script["page"](schema) == (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert current, "type: python docs/configuration.py"


def test_the_readmes_table_is_current():
    script = runpy.run_path(str(ROOT / "docs/reproduced.py"))
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script["with_table"](page) == page, "type: python docs/reproduced.py"


def test_a_formula_raises_all_that_stands_between_bars():
    script = runpy.run_path(str(ROOT / "docs/_ext/mathml.py"))
    squared = script["mathml"](r"c \lVert \Delta \rVert_2^2", "inline")
    assert squared == script["mathml"](r"c {\lVert \Delta \rVert}_2^2", "inline")
    assert "<msubsup><mrow>" in squared


def test_a_column_is_found_by_the_search(site):
    assert "test_pd_loss_signed" in (site / "tables.html").read_text(encoding="utf-8")
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert "ap3_fisher_from_control" in index  # a word to the index, shortened like any other


def test_blocks_can_be_copied(site):
    assert "copybutton.js" in (site / "first-figure.html").read_text(encoding="utf-8")
