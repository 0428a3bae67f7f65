"""A study of a few seconds, end to end through Snakemake, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pypdf import PdfReader

ROOT = Path(__file__).parents[2]

CONFIG = """
study: mini
device: cpu
studies:
  mini:
    trials: 2
    image_size: 16
    data: {ten_classes: digits, hundred_classes: digits}
    networks:
      vgg: {model: small_vgg, epochs: 2, learning_rate: 0.05}
    training: {batch_size: 64}
    pruning: {modes: [lowest, highest], ratios: [0.3, 0.8]}
    finetuning: {epochs: 2}
    figures: [fig03]
"""


def snakemake(folder, *arguments):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    (folder / "config.yaml").write_text(CONFIG)
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_tables_hold_every_variant_and_epoch(study):
    measures = pd.read_csv(study / "results/mini/tables/measures.csv")
    assert len(measures) == 2 * 5 * 3
    assert set(measures["mode"]) == {"lowest", "highest", "control"}
    baseline = measures[(measures["mode"] == "control") & (measures["epoch"] == 0)]
    assert (baseline[["ap2", "ap3_student_t", "test_pd_loss"]] == 0).all().all()


@pytest.mark.slow
def test_the_figure_is_a_page(study):
    assert len(PdfReader(study / "results/mini/figures/fig03.pdf").pages) == 1


@pytest.mark.slow
def test_a_second_run_does_nothing(study):
    again = snakemake(study)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.slow
def test_a_wrong_configuration_stops_before_any_job(study):
    wrong = json.dumps({"mini": {"trails": 3}})
    refused = snakemake(study, "--dry-run", "--config", f"studies={wrong}")
    text = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "did you mean 'trials'?" in text
    assert "Traceback" not in text


@pytest.mark.slow
def test_another_input_size_trains_anew(study):
    (study / "larger.yaml").write_text("studies: {mini: {image_size: 24}}")
    planned = snakemake(study, "--dry-run", "--configfile", "config.yaml", "larger.yaml")
    text = planned.stdout + planned.stderr
    for trial in (1, 2):
        assert f"Train small_vgg on digits, trial {trial}" in text
