"""A latent law that is added as CONTRIBUTING says is found in every table, figure and page."""

import pandas as pd
import pytest
from checkout import MINI, Checkout, configured
from pypdf import PdfReader

pytestmark = pytest.mark.slow

# A file in ap3/latent/ with the law and what sets it up at a layer ...
LAW = '''
"""Independent Laplace laws around the weights, of one scale."""

import numpy as np

from ap3.latent.law import Law
from ap3.latent.monte_carlo import Estimate


class Laplace(Law):
    """KL = Σ (|Δ|/b + exp(−|Δ|/b) − 1)."""

    def __init__(self, weights, scale):
        super().__init__(weights)
        self.scale = scale

    @property
    def shared(self):
        return {"scale": self.scale}

    def kl_monte_carlo(self, other, n, generator):
        return Estimate(self.kl(other), 0.0, n)

    def _kl_to(self, rows):
        steps = np.abs(rows - self.weights) / self.scale
        return (steps + np.exp(-steps) - 1).sum(axis=-1)


def of_baseline(layer):
    """Set the law up at a layer of the baseline."""
    return Laplace(layer.weight, float(np.abs(layer.weight).mean()))
'''

# ... and an entry in ap3/measuring/catalogue.py.
ENTRY = """    _law(
        "ap3_laplace",
        "AP3 Laplace",
        "AP3: Laplace law",
        "ap3.latent.laplace:of_baseline",
        scales={"laplace_scale": "scale"},
    ),
"""


@pytest.fixture(scope="module")
def results(mini, cache, tmp_path_factory):
    config = configured(MINI, {"figures": ["fig03"]})
    checkout = Checkout.make(tmp_path_factory.mktemp("law") / "checkout", config)
    (checkout.folder / "ap3/latent/laplace.py").write_text(LAW, encoding="utf-8")
    catalogue = checkout.folder / "ap3/measuring/catalogue.py"
    before = '    _law(\n        "ap3_fisher",'
    text = catalogue.read_text(encoding="utf-8")
    assert text.count(before) == 1
    catalogue.write_text(text.replace(before, ENTRY + before), encoding="utf-8")
    done = checkout.run("--cache", "--", "mini", "report", SNAKEMAKE_OUTPUT_CACHE=str(cache))
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout.folder / "results/mini"


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("summary", "measure"),
        ("agreement", "measure"),
        ("agreement_summary", "measure"),
        ("contrast", "measure"),
        ("choice", "measure"),
        ("bounds", "law"),
        ("bounds_summary", "law"),
    ],
)
def test_every_table_has_it(results, table, column):
    found = pd.read_csv(results / f"tables/{table}.csv")
    name = "ap3_laplace" if column == "measure" else "laplace"
    assert name in set(found[column])


def test_the_measures_have_its_values_and_its_scale(results):
    measures = pd.read_csv(results / "tables/measures.csv")
    pruned = measures[measures["mode"] != "control"]
    assert (pruned["ap3_laplace"] > 0).all()
    assert (measures["laplace_scale"] > 0).all()
    control = measures[measures["mode"] == "control"]
    assert (control["ap3_laplace_from_control"] == 0).all()


def test_the_figure_of_the_agreement_and_the_page_name_it(results):
    text = PdfReader(results / "figures/agreement.pdf").pages[0].extract_text()
    assert "AP3 Laplace" in text
    assert "AP3 Laplace" in (results / "report.html").read_text(encoding="utf-8")
