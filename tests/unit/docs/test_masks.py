"""The page on masks of one ratio says what the published measures say."""

import runpy
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import spearmanr, t

DOCS = Path(__file__).parents[3] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "masks.py"))
PUBLISHED = [study for study in ("masks", "fashion_masks") if (DOCS / "results" / study).is_dir()]


def read(study, name):
    path = DOCS / "results" / study / f"{name}.csv.gz"
    return pd.read_csv(path, keep_default_na=False, na_values="")


def rho(one, two):
    """Spearman's ρ; nothing where one of them is the same for all masks."""
    return spearmanr(one, two).statistic if one.nunique() > 1 < two.nunique() else float("nan")


@pytest.mark.parametrize("study", PUBLISHED)
def test_the_tables_of_the_page_are_made_from_what_is_published(study):
    page = (DOCS / "findings-masks.md").read_text(encoding="utf-8")
    made = SCRIPT["sections"](DOCS / "results" / study)
    assert SCRIPT["replaced"](page, study, made) == page, f"type: python docs/masks.py {study}"


@pytest.mark.parametrize("study", PUBLISHED)
@pytest.mark.parametrize("measure", ["ap2", "ap3_fisher", "kl_predictions", "wanda"])
def test_the_published_rank_correlations_follow_from_the_measures(study, measure):
    measures, summary = read(study, "draws"), read(study, "within_summary")
    random = measures[measures["mode"].str.startswith("random")]
    rows = summary[(summary["statistic"] == "rho") & (summary["measure"] == measure)]
    rows = rows[(rows["among"] == "masks") & (rows["reference"] == "baseline")]
    rows = rows[rows["model"] != "all"]
    assert len(rows)
    for row in rows.itertuples():
        chosen = random[(random["model"] == row.model) & (random["epoch"] == row.epoch)]
        chosen = chosen[chosen["ratio"] == row.ratio]
        found = pd.Series([rho(mine[measure], mine[row.pd]) for _, mine in chosen.groupby("trial")])
        found = found.dropna()
        assert found.mean() == pytest.approx(row.mean, abs=2e-4)
        if len(found) > 1:
            half = t.ppf(0.975, len(found) - 1) * found.std() / len(found) ** 0.5
            assert row.high == pytest.approx(min(found.mean() + half, 1.0), abs=1e-3)
