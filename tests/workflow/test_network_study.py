"""A study over any layers from end to end, and what edits re-make of it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from checkout import Checkout

from ap3.stages.report import report

pytestmark = pytest.mark.slow

STUDY = """
study: mini
device: cpu
studies:
  mini:
    trials: 1
    image_size: 16
    data: {ten_classes: {dataset: digits, examples: 200}}
    networks:
      resnet: {model: small_resnet, epochs: 1, learning_rate: 0.05}
    training: {batch_size: 64}
    pruning:
      layers: [stem.0, "layer3.*", fc]
      allocation: {random: 8}
      modes: [lowest]
      ratios: [0.5]
      alone: [0.5]
      batch_norm: both
    finetuning: {scope: none}
    latent: {groups: 10, examples: 50}
"""

HERE = "small_resnet on digits, trial 1"
RANKED = {"What explains the PD of the networks of study mini"}
EVALUATED = {f"Evaluate the variants of {HERE}"} | RANKED
ALLOCATED = {f"Allocate pruning over {HERE}"} | EVALUATED
TRAINED = {f"Train {HERE}"} | ALLOCATED

EDITS = {
    "a ratio": ("ratios: [0.5]", "ratios: [0.3, 0.5]", ALLOCATED),
    "more vectors": ("random: 8", "random: 9", ALLOCATED),
    "a layer": ("[stem.0, ", "[", ALLOCATED),
    "BatchNorm": ("batch_norm: both", "batch_norm: kept", EVALUATED),
    "fine-tuning": ("{scope: none}", "{scope: all, epochs: 1}", EVALUATED),
    "examples": ("examples: 50", "examples: 60", EVALUATED),
    "epochs": ("epochs: 1, learning", "epochs: 2, learning", TRAINED),
}

CODE = {
    "ap3/pruning/compressions.py": ALLOCATED,
    "ap3/pruning/allocation.py": ALLOCATED,
    "ap3/measuring/network_laws.py": EVALUATED,
    "ap3/latent/student_t.py": EVALUATED,
    "ap3/explaining/additivity.py": RANKED,
    "ap3/pruning/pruned.py": TRAINED - {f"Train {HERE}"},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Checkout:
    checkout = Checkout.make(tmp_path_factory.mktemp("network") / "checkout", STUDY)
    done = checkout.run()
    assert done.returncode == 0, done.stderr
    return checkout


def test_the_tables_hold_every_variant(finished):
    tables = finished.folder / "results/mini/tables"
    variants = pd.read_csv(tables / "variants.csv")
    assert len(variants) == 2 * (1 + 6 + 8)
    ranking = pd.read_csv(tables / "ranking.csv")
    assert set(ranking["batch_norm"]) == {"kept", "estimated"}
    assert set(ranking["n"]) == {8}


def test_a_second_run_does_nothing(planner, finished):
    assert planner.jobs(finished) == set()


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_the_settings_re_makes_its_dependants(planner, finished, edit):
    old, new, expected = EDITS[edit]
    path = finished.folder / "config.yaml"
    assert old in STUDY
    path.write_text(STUDY.replace(old, new), encoding="utf-8")
    try:
        assert planner.jobs(finished) == expected
    finally:
        path.write_text(STUDY, encoding="utf-8")


@pytest.mark.parametrize("name", CODE)
def test_an_edit_of_the_code_re_makes_its_dependants(planner, finished, name):
    path = finished.folder / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n_MORE = 1\n", encoding="utf-8")
    try:
        assert planner.jobs(finished) == CODE[name]
    finally:
        path.write_text(text, encoding="utf-8")


def test_a_pattern_that_matches_nothing_ends_in_one_sentence(finished):
    path = finished.folder / "config.yaml"
    path.write_text(STUDY.replace("stem.0", "stme.0"), encoding="utf-8")
    try:
        done = finished.run()
    finally:
        path.write_text(STUDY, encoding="utf-8")
    assert done.returncode != 0
    log = finished.folder / "results/mini/digits/small_resnet/trial1/logs/allocations.log"
    assert "'stme.0' of the layers to prune matches none" in log.read_text(encoding="utf-8")


def test_its_page_fits_a_phone(finished, tmp_path):
    play = pytest.importorskip("playwright.sync_api").sync_playwright
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    folder = tmp_path / "mini"
    shutil.copytree(finished.folder / "results/mini", folder)
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    settings["name"] = "a_study_of_whole_networks_with_a_long_name"
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    report(folder)
    every_entry = Path(__file__).with_name("every_entry.js").read_text(encoding="utf-8")
    with play() as playing:
        browser = playing.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 900})
        page.goto((folder / "report.html").as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=180_000)
        assert settings["name"] in page.locator("h1").text_content()
        assert "chance 0.00" in page.locator("#agreement-said").text_content()
        tried, outside = page.evaluate(every_entry)
        browser.close()
    assert tried > 10
    assert outside == []
