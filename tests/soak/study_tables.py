"""Tables of a small study, and the stages that make something of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from configs import SCHEMA
from kills import CONFIG

from ap3.config.variants import Variant
from ap3.files import csv_tables
from ap3.finetuning import trajectory
from ap3.finetuning.head_scope import through_head
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import read_unpruned
from ap3.report import explorer, glance
from ap3.report.results import Results
from ap3.report.sheets import sheets
from ap3.stages.agreement import agreement
from ap3.stages.bounds import bounds
from ap3.stages.depth import depth
from ap3.stages.figure import figure
from ap3.stages.measure import measure
from ap3.stages.tables import tables as joined
from ap3.stages.theory import theory
from ap3.study.settings import read_studies
from ap3.training.features import Features
from ap3.training.sgd import Recipe

VARIANTS = ("control", "lowest-0.3", "lowest-0.8", "highest-0.3", "highest-0.8")
SHOWN = ("agreement_summary", "baselines", "bounds_summary", "choice_summary", "summary")


def _made(path: Path) -> Path:
    return path.with_name("made")


def _beside(path: Path) -> dict[str, Any]:
    """Name what measuring asks for, in the folder of one such file."""
    inputs: dict[str, Any] = {
        name: path.with_name(f"{file}.safetensors")
        for name, file in (("checkpoint", "baseline"), ("features",) * 2, ("covariance",) * 2)
    }
    tuned = path.with_name("finetuned.safetensors")
    return inputs | {"finetuned": tuned, "out": _made(path) / "m.csv"}


def _page(path: Path) -> None:
    """Make what a report shows of a study's tables, one of which is damaged."""
    results = Results.read(path.with_name("study"))
    glance.size(results)
    glance.findings(results)
    sheets(results.tables)
    if path.stem == "measures":
        explorer.data(results.tables["measures"], results.tables.get("agreement"))


STAGES: dict[str, Callable[[Path], object]] = {
    "the log of finetuned.csv": lambda path: measure(**_beside(path)),
    "the log for bounds in finetuned.csv": lambda path: bounds(**_beside(path)),
    "bounds with baseline.safetensors": lambda path: bounds(**_beside(path)),
    "bounds with features.safetensors": lambda path: bounds(**_beside(path)),
    "bounds with covariance.safetensors": lambda path: bounds(**_beside(path)),
    "bounds with finetuned.safetensors": lambda path: bounds(**_beside(path)),
    "tables of measures.csv": lambda path: joined([path], _made(path)),
    "agreement of measures.csv": lambda path: agreement([path], _made(path), _made(path) / "a.pdf"),
    "figure of measures.csv": lambda path: figure("fig05", _made(path) / "f.pdf", [path]),
    "theory of bounds.csv": lambda path: theory([path], _made(path), _made(path) / "b.pdf"),
    "depth of layers.csv": lambda path: depth([path], _made(path)),
    "page of measures.csv": _page,
} | {f"page of {name}.csv": _page for name in SHOWN}
"""By what they take a file for; the last word is the file's name."""


_MEASURED = [f"{name}.safetensors" for name in ("baseline", "features", "covariance", "finetuned")]
_MEASURED += ["finetuned.csv"]
_BESIDE = {"measures.csv": ["measures.safetensors"], "bounds.csv": [], "layers.csv": []}


def make(folder: Path, recipe: Recipe) -> None:
    """Measure variants of the baseline in `folder`, and make all tables of a study there."""
    baseline = read_unpruned(folder / "baseline.safetensors")
    features = Features.load(folder / "features.safetensors")
    layers = [prune_network(baseline, Variant.parse(name)) for name in VARIANTS]
    done = through_head(layers, baseline, features, recipe, torch.device("cpu"))
    trajectory.save(folder / "finetuned.safetensors", done)
    inputs = _beside(folder / "finetuned.csv")
    measure(**inputs | {"out": folder / "measures.csv"})
    bounds(**inputs | {"out": folder / "bounds.csv"})
    _make_layers(folder / "layers.csv")
    _make_study(folder)


def _make_layers(path: Path) -> None:
    about = {"dataset": "noise", "model": "small_vgg", "trial": 1, "mode": "lowest", "ratio": 0.3}
    rows = [
        about | {"epoch": epoch, "layer": f"l{depth}", "depth": depth, "norm2": 2.0, "ap2": 0.1}
        for epoch in range(3)
        for depth in (1, 2, 3)
    ]
    csv_tables.write(pd.DataFrame(rows), path)


def _make_study(folder: Path) -> None:
    study = folder / "study"
    pages = study / "figures"
    joined([folder / "measures.csv"], study / "tables")
    agreement([folder / "measures.csv"], study / "tables", pages / "agreement.pdf")
    theory([folder / "bounds.csv"], study / "tables", pages / "bounds.pdf")
    for name in ("agreement", "bounds", "fig07"):
        (pages / f"{name}.png").touch()  # what the page shows of them is that they are there
    for name in SHOWN:
        shutil.copy(study / f"tables/{name}.csv", folder)
    settings = read_studies(yaml.safe_load(CONFIG), SCHEMA)["mini"].settings
    (study / "settings.json").write_text(json.dumps({"name": "mini", **settings}), encoding="utf-8")


def put_beside(name: str, good: Path, work: Path) -> None:
    """Leave in `work` only what the stage called `name` reads beside its file."""
    for folder in ("made", "study"):
        shutil.rmtree(work / folder, ignore_errors=True)
    for path in [*work.glob("*.safetensors"), *work.glob("*.csv")]:
        path.unlink()
    file = Path(name.rpartition(" ")[2])
    if name.startswith("page"):
        shutil.copytree(good / "study", work / "study")
        table = work / "study/tables" / file
        table.unlink()
        table.symlink_to(work / file)
    elif name in STAGES:
        for beside in _BESIDE.get(file.name, _MEASURED):
            shutil.copy(good / beside, work)
