"""Study `paper`: every figure asks for the networks and data sets that the paper shows in it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ap3.figures import descriptions
from ap3.study.settings import read_studies

ROOT = Path(__file__).parents[2]

ALEXNET, RESNET, VGG, VIT = "alexnet", "resnet50", "vgg16", "vit_b_16"
CIFAR = ("cifar10", "cifar100")

# Read off the captions of the paper's figures.
SHOWN = {
    "fig01": set(),
    "fig02": {(data, RESNET) for data in CIFAR},
    "fig03": {(data, VGG) for data in CIFAR},
    "fig04": {("tiny-imagenet", VGG), ("tiny-imagenet", RESNET)},
    "fig05": {(data, RESNET) for data in CIFAR},
    "fig06": {("tiny-imagenet", VIT)},
    "fig07": {("cifar10", VGG)},
    "fig08": {(data, ALEXNET) for data in CIFAR},
    "fig09": {(data, ALEXNET) for data in CIFAR},
    "fig10": {(data, RESNET) for data in CIFAR},
    "fig11": {(data, VGG) for data in CIFAR},
    "fig12": {("cifar10", RESNET)},
    "fig13": {(data, RESNET) for data in CIFAR},
    "fig14": {(data, ALEXNET) for data in CIFAR},
    "fig15": {(data, ALEXNET) for data in CIFAR},
    "fig16": {(data, VGG) for data in CIFAR},
    "fig17": {(data, VGG) for data in CIFAR},
    "fig18": {("cifar10", ALEXNET)},
}


# Measure, split of the PD and panels, read off the same captions.
AP2, STUDENT_T, NONDIAGONAL = ("ap2",), ("ap3_student_t",), ("ap3_nondiagonal",)
TRAIN, TEST, BOTH = ("train",), ("test",), ("train", "test")
RATIOS, MODES = ("ratios_per_mode",), ("modes_per_ratio",)
DRAWN = {
    "fig02": (AP2, TEST, RATIOS + MODES),
    "fig03": (AP2, TEST, RATIOS + MODES),
    "fig04": (AP2, TEST, RATIOS + MODES),
    "fig05": (STUDENT_T, TEST, RATIOS + MODES),
    "fig06": (STUDENT_T, TEST, RATIOS + MODES),
    "fig07": (AP2 + STUDENT_T, (), MODES),
    "fig08": (AP2, TEST, RATIOS + MODES),
    "fig09": (AP2, TRAIN, RATIOS + MODES),
    "fig10": (AP2, TRAIN, RATIOS + MODES),
    "fig11": (AP2, TRAIN, RATIOS + MODES),
    "fig12": (NONDIAGONAL, BOTH, RATIOS + MODES),
    "fig13": (STUDENT_T, TRAIN, RATIOS + MODES),
    "fig14": (STUDENT_T, BOTH, RATIOS),
    "fig15": (STUDENT_T, BOTH, MODES),
    "fig16": (STUDENT_T, BOTH, RATIOS),
    "fig17": (STUDENT_T, BOTH, MODES),
    "fig18": (AP2 + STUDENT_T, (), MODES),
}


@pytest.fixture(scope="module")
def paper():
    config = yaml.safe_load((ROOT / "workflow/studies/paper.yaml").read_text(encoding="utf-8"))
    schema = yaml.safe_load(
        (ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")
    )
    return read_studies({"study": "paper", "studies": config}, schema)["paper"]


def test_every_figure_of_the_paper_is_listed_here():
    assert list(SHOWN) == descriptions.names()


@pytest.mark.parametrize("figure", SHOWN)
def test_a_figure_needs_what_the_paper_shows_in_it(paper, figure):
    assert set(paper.figure_pairs(figure)) == SHOWN[figure]
    assert figure in paper.figures


@pytest.mark.parametrize("figure", DRAWN)
def test_a_figure_draws_the_measure_split_and_panels_of_the_paper(figure):
    described = descriptions.describe(figure)
    found = described.metrics, described.splits, described.panels
    assert tuple(map(tuple, found)) == DRAWN[figure]


def test_the_first_figure_is_the_schematic():
    assert descriptions.describe("fig01").kind == "schematic"
    assert set(DRAWN) == set(SHOWN) - {"fig01"}


def test_no_network_is_trained_that_no_figure_shows(paper):
    assert set(paper.pairs) == set().union(*SHOWN.values())


def test_the_constants_are_those_of_section_5_1(paper):
    rates = {ALEXNET: 0.01, VGG: 0.01, RESNET: 0.1, VIT: 0.002}
    for dataset, model in paper.pairs:
        recipe = paper.recipe(dataset, model)
        tiny = dataset == "tiny-imagenet"
        assert recipe["learning_rate"] == (0.001 if tiny else rates[model])
        assert recipe["epochs"] == (60 if tiny else 100)
        assert recipe["weight_decay"] == (1e-4 if tiny else 0)
        assert recipe["momentum"] == 0.9
        assert recipe["batch_size"] == 128
        assert paper.finetuning_recipe(dataset, model) == recipe | {"epochs": 20}
        assert paper.weights(dataset, model) == "DEFAULT"
        assert paper.image_size(dataset, model) == 224
    assert len(paper.trials) == 3
    modes = ("lowest", "highest", "random")
    wanted = {f"{mode}-{ratio}" for mode in modes for ratio in (0.1, 0.3, 0.5, 0.8)}
    assert {str(variant) for variant in paper.variants} == wanted | {"control"}


@pytest.mark.parametrize("figure", ["fig01", "fig05", "fig12"])
def test_a_dry_run_plans_its_networks_and_nothing_else(tmp_path, figure):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    options = ["--directory", str(tmp_path), "--config", "study=paper", "device=cpu"]
    done = subprocess.run(
        [*command, "--dry-run", *options, "--", figure],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    printed = done.stdout + done.stderr
    trained = re.findall(r"^Job \d+: Train (\S+) on (\S+), trial (\d)$", printed, re.MULTILINE)
    assert {(dataset, model) for model, dataset, _ in trained} == SHOWN[figure]
    assert len(set(trained)) == 3 * len(SHOWN[figure])
    drawn = re.findall(r"^Job \d+: Draw (\S+) of study paper$", printed, re.MULTILINE)
    assert set(drawn) == {figure}
    files = {data for data, _ in SHOWN[figure]}
    assert set(re.findall(r"^Job \d+: Decode (\S+)$", printed, re.MULTILINE)) == files
    weights = re.findall(r"^Job \d+: Fetch the weights DEFAULT of (\S+)$", printed, re.MULTILINE)
    assert set(weights) == {model for _, model in SHOWN[figure]}


def test_a_figure_that_a_study_does_not_map_is_refused_in_one_sentence(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    options = ["--directory", str(tmp_path), "--config", "study=fashion"]
    done = subprocess.run(
        [*command, "--dry-run", *options, "--", "fig06"],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 1
    assert "fig06 needs the network role 'vit', which is not mapped" in printed
    assert "Traceback" not in printed


def test_it_multiplies_as_cards_are_made_for(paper):
    assert paper.settings["precision"] == "bfloat16"
    assert paper.recipe("cifar10", VGG)["channels_last"] is True


def test_four_cards_of_a_node_with_16_cores_are_kept_busy(paper):
    """docs/slurm.md says `--cores 16 --resources gpu=4`."""
    assert 4 * paper.settings["threads"] <= 16
