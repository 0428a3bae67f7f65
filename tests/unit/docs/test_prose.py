"""The command that sets the numbers in the sentences of the pages."""

import importlib.util
import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGE = """\
# Findings

In 2024 somebody said so.

## In short

1. AP2 orders 9 and
   26 % of the pairs, in two of three networks (`fashion`, 32 px); see [table 4](page4.md).

| AP2 | 0.5 |
|---|---|

<!-- made -->
Of 66 pairs.
<!-- end of made -->

A gain of −0.04 or 1,280.

## Else

Of 7 others.
"""


@pytest.fixture(scope="module")
def prose():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        spec = importlib.util.spec_from_file_location("prose", DOCS / "prose.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def said(prose):
    from said.sentences import said

    return said


def test_every_number_of_the_pages_comes_from_a_table(prose, tmp_path, monkeypatch, capsys):
    for page in prose.PAGES:
        place = tmp_path / "docs" / page.PAGE
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DOCS / page.PAGE, place)
    before = [(tmp_path / "docs" / page.PAGE).read_text(encoding="utf-8") for page in prose.PAGES]
    monkeypatch.setattr(prose, "DOCS", tmp_path / "docs")
    status, told = prose.main(), capsys.readouterr().out
    assert not status, told
    after = [(tmp_path / "docs" / page.PAGE).read_text(encoding="utf-8") for page in prose.PAGES]
    assert after == before, told


def test_a_wrong_number_is_set(prose, said):
    right = said("orders {} and {} % of the pairs, in {} of three networks", "11", "26", "one")
    sizes = said("A gain of {} or {}.", "+0.04", "1,281")
    page = prose.corrected(PAGE, [right, sizes])
    expected = PAGE.replace("orders 9", "orders 11").replace("in two of", "in one of")
    assert page == expected.replace("of −0.04 or 1,280", "of +0.04 or 1,281")
    assert prose.corrected(page, [right, sizes]) == page


def test_a_number_that_no_sentence_holds_is_named(prose, said):
    known = [said("orders {} and 26 %", "9"), said("A gain of {} or", "−0.04")]
    found = prose.untold(PAGE, known, [r"32 px", r"table 4"], ["In short"])
    assert len(found) == 2
    assert "26 %" in found[0]
    assert "1,280" in found[1]
    (other,) = prose.untold(PAGE, [], [], ["Else"])
    assert "Of 7 others" in other


@pytest.mark.parametrize("text", ["orders {} of", "{} of"])
def test_a_sentence_stands_in_a_page_once(said, text):
    with pytest.raises(ValueError, match=r"\d times, but must say it once"):
        said(text, "9").find(PAGE)


def test_a_sentence_has_a_place_for_each_number(said):
    with pytest.raises(ValueError, match="no place for each"):
        said("orders {} %", "9", "26")
