"""The public names: all there, all documented, and no others."""

from pathlib import Path

import pytest

import ap3

LIBRARY = (Path(__file__).parents[2] / "docs/library.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ap3.__all__)
def test_a_public_name_is_there_and_documented(name):
    assert getattr(ap3, name).__doc__
    assert name == "__version__" or f"ap3.{name}" in LIBRARY


def test_no_other_name_is_offered():
    assert dir(ap3) == sorted(ap3.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'comparee'"):
        ap3.comparee  # noqa: B018
