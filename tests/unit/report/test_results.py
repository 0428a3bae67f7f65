"""What the page takes from the folder of a study: what the study has now, not what it once had."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ap3.files import csv_tables
from ap3.report.results import _is_of, _there
from ap3.report.sheets import _within
from ap3.study.settings import read_studies

ROOT = Path(__file__).parents[3]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def demo():
    return read_studies(CONFIG, SCHEMA)["demo"]


def changed(study, part, **keys):
    return replace(study, settings=study.settings | {part: study.settings[part] | keys})


def test_tables_of_an_earlier_configuration_are_left_out(tmp_path, demo):
    (tmp_path / "tables").mkdir()
    for name in ("agreement", "within_summary", "layers_summary"):
        (tmp_path / f"tables/{name}.csv").touch()
    assert set(_there(tmp_path, demo)) == {"agreement"}
    assert set(_there(tmp_path, changed(demo, "pruning", random_masks=2))) == {
        "agreement",
        "within_summary",
    }
    assert "layers_summary" in _there(tmp_path, changed(demo, "finetuning", scope="all"))


def test_statistics_without_a_kind_of_pair_may_be_empty_there(tmp_path, demo):
    """Partial correlations are of no kind of pair."""
    row = dict.fromkeys(("dataset", "model", "measure", "sees", "statistic"), "x")
    row |= {"epoch": 0, "reference": "baseline", "pd": "test_pd_loss", "among": None, "ratio": 0.5}
    row |= dict.fromkeys(("n", "mean", "low", "high", "gain", "holm"), 1.0)
    (tmp_path / "tables").mkdir()
    pd.DataFrame([row]).to_csv(tmp_path / "tables/within_summary.csv", index=False)
    masks = changed(demo, "pruning", random_masks=2)
    keys, values = _there(tmp_path, masks)["within_summary"]
    table = csv_tables.read(tmp_path / "tables/within_summary.csv", *keys, values=values)
    assert len(table) == 1
    assert list(_within({"within_summary": table}))


@pytest.mark.parametrize(
    ("log", "mine"),
    [
        ("logs/tables.log", True),
        ("digits/small_vgg/logs/covariance.log", True),
        ("digits/small_vgg/trial1/logs/baseline.log", True),
        ("digits/small_vgg/trial9/logs/baseline.log", False),
        ("digits/resnet18/trial1/logs/baseline.log", False),
    ],
)
def test_logs_of_what_a_study_no_longer_has_are_left_out(demo, log, mine):
    assert _is_of(demo, Path(log)) is mine
