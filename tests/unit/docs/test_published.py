"""Every published table is what its published measures say, and none contradicts itself."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs/results"
STUDIES = sorted(path.parent.name for path in RESULTS.glob("*/measures.csv.*"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("published", ROOT / "docs/published.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "study",
    [pytest.param(s, marks=() if s == "fashion_all" else pytest.mark.slow) for s in STUDIES],
)
def test_published_tables_are_counted_from_published_measures(script, study):
    _, tables = script.recounted(RESULTS / study)
    for name, table in script.published(tables).items():
        stored = pd.read_csv(script.file_of(RESULTS / study, name))
        # Of draws that another processor turns to another chain; what seeds differ by.
        drawn = table["measure"] == "ceiling" if "measure" in table else np.zeros(len(table), bool)
        exact = table[~drawn].drop(columns="place", errors="ignore")
        pd.testing.assert_frame_equal(
            exact, stored[~drawn][exact.columns], rtol=1e-4, atol=1e-6, check_dtype=False
        )
        if name == "agreement_summary":
            means = table.loc[drawn, "mean"], stored.loc[drawn, "mean"]
            pd.testing.assert_series_equal(*means, atol=0.05)


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*_summary.csv*")), ids=str)
def test_no_published_interval_leaves_out_its_estimate(path):
    table = pd.read_csv(path)
    named = {"": "mean", "examples_": "mean", "safe_": "safe", "chosen_": "chosen"}
    for before, mean in named.items():
        low, high = f"{before}low", f"{before}high"
        if mean in table and low in table:
            known = table.dropna(subset=[mean, low, high])
            slack = 1e-4 * (1 + known[mean].abs())  # five digits are written
            assert (known[low] <= known[mean] + slack).all()
            assert (known[mean] <= known[high] + slack).all()
