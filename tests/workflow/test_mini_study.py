"""A study of a few seconds, end to end through Snakemake."""

import json

import pandas as pd
from pypdf import PdfReader

from ap3.study import columns


def test_the_tables_hold_every_variant_and_epoch(mini):
    measures = pd.read_csv(mini.folder / "results/mini/tables/measures.csv")
    assert len(measures) == 2 * 5 * 3
    assert set(measures["mode"]) == {"lowest", "highest", "control"}
    baseline = measures[(measures["mode"] == "control") & (measures["epoch"] == 0)]
    assert (baseline[["ap2", "ap3_student_t", "test_pd_loss"]] == 0).all().all()


def test_the_figure_is_a_page(mini):
    assert len(PdfReader(mini.folder / "results/mini/figures/fig03.pdf").pages) == 1


def test_a_second_run_does_nothing(mini):
    again = mini.run()
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_plan_tells_what_each_stage_takes_and_makes_nothing(mini):
    before = sorted(mini.folder.glob("results/mini/**/*"))
    planned = mini.run("plan")
    assert planned.returncode == 0, planned.stderr
    told = [line.split() for line in planned.stdout.splitlines() if " digits " in line]
    stages = {"baseline", "features", "covariance", "finetune", "measure", "bounds"}
    assert {line[0] for line in told} == stages
    assert "No stage takes over ten minutes." in planned.stdout
    log = mini.folder / "results/mini/logs/plan.log"
    assert sorted(mini.folder.glob("results/mini/**/*")) == sorted([*before, log])


def test_a_wrong_configuration_stops_before_any_job(mini):
    wrong = json.dumps({"mini": {"trails": 3}})
    refused = mini.run("--dry-run", "--config", f"studies={wrong}")
    text = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "did you mean 'trials'?" in text
    assert "Traceback" not in text


def test_no_column_of_any_table_is_undocumented(mini):
    found = [
        (path.stem, name)
        for path in (mini.folder / "results/mini/tables").glob("*.csv")
        for name in pd.read_csv(path, nrows=1)
        if columns.column(path.stem, name) is None
    ]
    assert found == []
