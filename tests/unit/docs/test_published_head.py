"""The command that measures the layers of a published network."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("published_head", DOCS / "published_head.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_what_is_stored(script):
    page = script.PAGE.read_text(encoding="utf-8")
    assert script.with_tables(page) == page


def test_a_skewed_layer_is_turned_round_and_an_even_one_is_not(script):
    rng = np.random.default_rng(0)
    skewed = rng.exponential(size=100_000)
    skewed -= np.repeat(skewed.reshape(100, -1).mean(axis=1), 1000)  # each group sums to zero
    even = 1 + rng.normal(size=100_000)
    rows = {row["layer"]: row for row in script.layer_rows({"skewed": skewed + 1e-3, "even": even})}
    for name, half_is_farther in (("skewed", True), ("even", False)):
        row = rows[name]
        assert bool(row["half_lowest"] > row["whole"]) is half_is_farther
        assert bool(row["means_of_small"] > row["means"]) is half_is_farther
        assert bool(row["turned_lowest"] > 0) is half_is_farther


def test_the_laws_at_the_last_layer(script):
    weights = np.random.default_rng(1).normal(size=4000)
    table = script.head_table(weights).set_index(["mode", "ratio"])
    assert len(table) == 13
    whole = table.loc[("all", 1.0)]
    assert whole["ap2"] == pytest.approx(np.square(weights).sum())
    assert whole["ap3_gaussian"] == pytest.approx(1.9)
    assert whole["ap3_nondiagonal"] == pytest.approx(1.9)
    lowest = table.loc["lowest"]
    for column in ("ap2", "ap3_gaussian", "ap3_nondiagonal", "ap3_student_t_all"):
        assert lowest[column].is_monotonic_increasing
