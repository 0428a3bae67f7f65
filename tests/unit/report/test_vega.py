"""Vega is put together beside the page, and no longer than the page is made."""

import psutil
import pytest

from ap3.report import vega


def test_it_is_one_script_that_may_stand_in_a_page():
    with vega.being_made() as script:
        text = script()
    assert "vegaEmbed" in text
    assert "</script" not in text


def test_it_ends_without_a_word_where_the_page_comes_to_nothing(capfd):
    with pytest.raises(KeyboardInterrupt), vega.being_made():
        raise KeyboardInterrupt
    assert not psutil.Process().children()
    assert capfd.readouterr() == ("", "")


def test_what_stopped_it_is_said(monkeypatch):
    monkeypatch.setattr(vega, "_MAKE", "raise SystemExit('no room')")
    with pytest.raises(RuntimeError, match="no room"), vega.being_made() as script:
        script()
