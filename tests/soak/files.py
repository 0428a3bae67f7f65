"""Files of every kind that ap3 reads, damaged at random or with ill intent; and what must hold."""

import contextlib
import io
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import fences
import numpy as np
import pandas as pd
import study_tables
import torch
import torch_files

from ap3.comparing import layer_table, printing
from ap3.config.variants import Variant
from ap3.datasets.images import Images
from ap3.errors import UserError
from ap3.files import csv_tables, state_dicts
from ap3.measuring.covariance import load_covariance, make_covariance
from ap3.measuring.sampling_noise import Noise
from ap3.models.checkpoint import Checkpoint
from ap3.models.pretrained import Pretrained
from ap3.pruning import pruned
from ap3.pruning.masks import prune_network
from ap3.training.baseline import train_baseline
from ap3.training.features import Features, StoredViews, write, write_views
from ap3.training.outcomes import Outcomes, read_outcomes, write_outcomes
from ap3.training.sgd import Recipe

CPU = torch.device("cpu")
ROOM = 300  # megabytes that a reader may take, with files of some kilobytes
TIME = 30  # seconds of the processor


def _views(path: Path) -> None:
    views = StoredViews(path)
    for index in range(min(len(views), 3)):
        views[index]


def _compare(path: Path) -> None:
    """Compare a network with itself; no name in the file may reach a terminal as it stands."""
    table = layer_table.compare(state_dicts.read(path), state_dicts.read(path), ["*"], 4.0, 10)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        printing.show(table)
    lines = [*table.verdict.split("\n"), *table.remarks]
    for text in (str(table), printed.getvalue(), printing.as_csv(table)):
        lines += text.split("\n")
    for line in lines:
        assert line.isprintable(), line


READERS: dict[str, Callable[[Path], object]] = {
    "data.safetensors": Images.load,
    "baseline.safetensors": lambda path: Checkpoint.load(path, CPU),
    "a last layer in baseline.safetensors": pruned.read_unpruned,
    "pruned.safetensors": lambda path: list(pruned.Pruned(path).values()),
    "features.safetensors": Features.load,
    "views.safetensors": _views,
    "outcomes.safetensors": read_outcomes,
    "measures.safetensors": Noise.load,
    "covariance.safetensors": load_covariance,
    "weights.safetensors": Pretrained.load,
    "weights.pt": Pretrained.load,
    "two networks in weights.pt": _compare,
    "two networks in weights.safetensors": _compare,
    "history.csv": lambda path: csv_tables.read(path, "epoch"),
} | study_tables.STAGES
"""What reads a file, by what it takes it for; the last word is the file's name."""


def make(folder: Path, data: Images) -> None:
    """Write a good file for every reader into `folder`."""
    recipe = Recipe(1, 20, 0.01)
    options: dict[str, Any] = {"validation": 0.0, "trial": 1, "seed": 0, "device": CPU}
    checkpoint, history = train_baseline(data, "small_vgg", 16, recipe, **options)
    data.save(folder / "data.safetensors")
    checkpoint.save(folder / "baseline.safetensors")
    whole = pruned.read_unpruned(folder / "baseline.safetensors")
    some = [prune_network(whole, Variant(mode, 0.5)) for mode in ("lowest", "random")]
    pruned.save(folder / "pruned.safetensors", some)
    write(folder / "features.safetensors", checkpoint, data, CPU)
    write_views(folder / "views.safetensors", checkpoint, data, 2, "flip", CPU)
    outcomes = np.ones((1, 20), np.float32)
    write_outcomes(folder / "outcomes.safetensors", {"control": Outcomes(outcomes, outcomes)})
    make_covariance(
        folder / "covariance.safetensors", whole.layers[whole.only_layer].mask.size, "fast", 0
    )
    checkpoint.save(folder / "weights.safetensors")
    torch.save(checkpoint.model.state_dict(), folder / "weights.pt")
    csv_tables.write(pd.DataFrame(history), folder / "history.csv")
    study_tables.make(folder, recipe)


def verdict(name: str, path: Path) -> str:
    """Read `path` as what `name` says: `read`, or `refused` in one sentence.

    Nothing is written but to a folder `made` beside it, and no more memory and time taken than `ROOM`
    and `TIME`.
    """
    made = path.with_name("made")
    with (
        warnings.catch_warnings(),
        fences.writing_only_to(made),
        fences.memory(ROOM),
        fences.seconds(TIME),
    ):
        warnings.simplefilter("ignore")
        try:
            READERS[name](path)
        except UserError as error:
            refusal = str(error)
        else:
            return "read"
    assert refusal.strip(), name
    assert refusal.strip().isprintable(), refusal
    assert len(refusal) < 2000, refusal
    return "refused"


def attack(name: str, good: Path, work: Path, chance: random.Random) -> tuple[str, str]:
    """Damage the file that `name` ends with, of the folder `good`; returns how, and the verdict."""
    file = name.rpartition(" ")[2]
    canary, target = work / "canary", work / file
    study_tables.put_beside(name, good, work)
    ways = [*damage.MUTATIONS]
    if file.endswith(".csv"):
        ways += [*damage.TABLE_MUTATIONS] * 3
    if file.endswith(".safetensors"):
        ways += ["another content, sealed again"] * 5
    if file.endswith(".pt"):
        ways += ["code", *torch_files.WAYS * 2]
    if name == "two networks in weights.safetensors":
        ways += ["odd names"] * 5
    way = chance.choice(ways)
    if way == "code":
        damage.with_code(target, canary, chance)
    elif way in torch_files.WAYS:
        torch_files.write(target, way, chance)
    elif way == "odd names":
        torch_files.write_names(target, chance)
    elif way == "another content, sealed again":
        damage.reseal(good / file, target, chance)
    else:
        mutate = (damage.MUTATIONS | damage.TABLE_MUTATIONS)[way]
        target.write_bytes(mutate((good / file).read_bytes(), chance))
    there = sorted(work.rglob("*"))
    found = verdict(name, target)
    assert not canary.exists(), f"{name} ran code"
    made = work / "made"
    assert not [path for path in made.rglob("*") if path.name.startswith(".")], "half a file"
    shutil.rmtree(made, ignore_errors=True)
    assert sorted(work.rglob("*")) == there, "something else was written"
    target.unlink()
    return way, found
