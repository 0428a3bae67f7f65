"""The script that brings the tables of any finished study into the pages."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from agreement_tables import measures, noises

from ap3.files import csv_tables
from ap3.measuring.bounds import BOUNDS

HEAD = "# What came out\n\nOf other studies.\n\n"
SCRIPT = Path(__file__).parents[3] / "docs" / "findings.py"


@pytest.fixture
def findings(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("findings", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(module, "DOCS", tmp_path / "docs")
    (tmp_path / "docs/results").mkdir()
    monkeypatch.setattr(module, "PAGE", tmp_path / "docs" / "findings.md")
    monkeypatch.setattr(module, "TABLES", tmp_path / "docs" / "findings-tables.md")
    monkeypatch.setattr(module, "STUDIES", tmp_path / "docs" / "findings-tables")
    module.TABLES.write_text("<!-- studies -->\n<!-- end of studies -->\n", encoding="utf-8")
    marks = (f"<!-- {name} -->\n<!-- end of {name} -->\n" for name in ("short", "regime"))
    module.PAGE.write_text(HEAD + "".join(marks), encoding="utf-8")
    return module


def write_study(name, trials, networks=("n",), modes=("lowest", "highest")):
    """Measures, noise and bounds as a study's stages write them."""
    folder = Path("results") / name
    (folder / "tables").mkdir(parents=True)
    for unit, model in enumerate(networks, start=1):
        table = measures(trials, noise=0.001).assign(model=model, weights=50)
        for split in ("train", "test"):
            table[f"{split}_loss"], table[f"{split}_accuracy"] = 0.5, 0.9
            for what in ("loss", "accuracy"):
                signed = table[f"{split}_pd_{what}_signed"]
                table[f"{split}_pd_{what}"] = signed.abs()
        table["ap2"] *= unit  # a unit that differs between the networks
        table["ap3_gaussian"] = table["ap2"] / unit
        noise = noises(table)
        table = table[table["mode"].isin(["control", *modes])]
        for each in noise:
            place = folder / f"d/{model}/trial{each.origin.trial}"
            place.mkdir(parents=True)
            rows = table[table["trial"] == each.origin.trial]
            csv_tables.write(rows, place / "measures.csv")
            named = replace(each, origin=replace(each.origin, model=model))
            named.save(place / "measures.safetensors")
    bounds = pd.DataFrame(
        {"law": "gaussian", "bound": list(BOUNDS), "n": 7, "failing": 0, "infinite": 1}
        | {"min": 2.0, "median": 30.0, "max": np.inf}
    )
    bounds.to_csv(folder / "tables/bounds_summary.csv", index=False)


def row_of(page, title, measure):
    """Cells of a measure in the table under a title."""
    lines = page[page.index(title) :].splitlines()
    return next(line for line in lines if line.startswith(f"| {measure} |")).split(" | ")[1:]


@pytest.mark.slow
def test_a_study_of_two_networks(findings):
    write_study("small", trials=2, networks=("n", "m"))
    findings.main(["small"])
    pages = findings.STUDIES / "small.md", findings.PAGE, findings.TABLES
    before = [of.read_text(encoding="utf-8") for of in pages]
    page, head, listed = before
    assert head.startswith(HEAD)
    assert "| `small`, before, absolute PD |" in head
    assert page.startswith("# Tables of study `small`\n")
    assert (
        "- [`small`](findings-tables/small.md): 2 networks (m on d, n on d), 4 baselines" in listed
    )
    assert "2 networks (m on d, n on d), 4 baselines in all, 50 weights" in page
    assert "Of the 15 pairs of variants" in page
    assert row_of(page, "Gain over AP2", "cosine distance")[0] == "-1.000 (0↑ 0↓)"
    assert row_of(page, "any two variants", "look-up of mode, ratio")[0].startswith("1.000")
    # A constant times AP2 in each network, whose unit alone tells them apart.
    between = "different networks"
    assert row_of(page, between, "AP3 Gaussian = 1.9 × relative AP2")[0].startswith("1.000")
    assert not row_of(page, between, "AP2")[0].startswith("1.000")
    assert (findings.DOCS / "results/small/agreement_summary.csv.gz").exists()
    findings.main(["small"])
    assert [of.read_text(encoding="utf-8") for of in pages] == before


@pytest.mark.slow
def test_a_study_of_one_trial_and_mode(findings):
    write_study("part", trials=1, modes=("lowest",))
    findings.main(["part"])
    page = (findings.STUDIES / "part.md").read_text(encoding="utf-8")
    assert "Nothing is said of the choice of a ratio" in page
    assert "Nothing is said of a contrast" in page
    assert "Nothing is said of pairs between networks" in page
    assert "\n| KL of predictions" not in page


def test_a_test_is_counted_once(findings):
    """AP2's aliases say what AP2 does, and before fine-tuning the control is the baseline."""
    rows = [
        ("ap2", "baseline", 0),
        ("ap3_gaussian", "baseline", 0),
        ("relative_frobenius", "baseline", 20),
        ("ap2", "control", 0),
        ("ap2", "control", 20),
    ]
    summary = pd.DataFrame(rows, columns=["measure", "reference", "epoch"]).assign(
        statistic="over_lookup", among="all", pd="test_pd_loss", holm=0.01
    )
    untested = summary.assign(holm=np.nan, measure="wanda")
    found = findings.tests(pd.concat([summary, untested]), "over_lookup", ["test_pd_loss"])
    assert found[["measure", "reference", "epoch"]].to_numpy().tolist() == [
        ["ap2", "baseline", 0],
        ["ap2", "control", 20],
    ]
