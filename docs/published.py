"""What is published of a study, so that all of its tables can be counted again from it.

`docs/results/STUDY` holds the measures of every variant and epoch, rounded to seven digits, and in
`noise.npz` how the PDs vary with the examples, before fine-tuning and at its end: the covariance of the PDs,
and the PDs of the test split on 400 of the resamples, losses in steps of a thirty
thousandth of the largest, accuracies as counts. Where there is no such file, the PDs of two variants are
taken as independent.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ap3.config.variants import Variant
from ap3.explaining import averages
from ap3.explaining.tables import explained
from ap3.explaining.trial_grids import AP2, DIFFERENCES, VALUES, runs_of
from ap3.files import csv_tables
from ap3.measuring import catalogue
from ap3.measuring.sampling_noise import Noise
from ap3.pruning.pruned import Origin

RESULTS = Path(__file__).parent / "results"
SUMMARIES = ("agreement_summary", "contrast_summary", "choice_summary", "baselines")
ALIASES = catalogue.SAME_AS_AP2
LEFT_OUT = {
    "pd": ["train_pd_accuracy", "train_pd_accuracy_signed"],
    "statistic": ["rho"],
    "measure": [*ALIASES],
}
"""Rows that a reader can count again and that are not published."""

RESAMPLES = 400
_STEPS = 30_000


def pack(study: str, source: Path, folder: Path) -> None:
    """Write the measures and the noise of a finished study, in `source`, to a folder."""
    paths = sorted(source.glob("*/*/trial*/measures.csv"))
    measures = csv_tables.read_all(paths, *csv_tables.ROW, *AP2, values=VALUES)
    folder.mkdir(parents=True, exist_ok=True)
    kept = measures[_columns(measures)]
    kept.to_csv(folder / "measures.csv.xz", index=False, float_format="%.7g")
    arrays: dict[str, NDArray[Any]] = {}
    for path in paths:
        noise = Noise.load(path.with_suffix(".safetensors"))
        found = measures[_rows(measures, noise)].iloc[0]
        counts = {split: found[f"{split}_examples"] for split in ("train", "test")}
        arrays |= {
            f"{_key(noise)}|{part}": values for part, values in _packed(noise, counts).items()
        }
    np.savez_compressed(folder / "noise.npz", allow_pickle=False, **arrays)


def recounted(folder: Path) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Count a published study again: its measures, and every table by its name."""
    path = next(folder.glob("measures.csv.*"))
    measures = csv_tables.read(path, *csv_tables.ROW, *AP2, values=VALUES)
    stored = folder / "noise.npz"
    arrays = dict(np.load(stored)) if stored.exists() else {}
    networks = measures[["dataset", "model", "trial"]].drop_duplicates()
    noises = [_noise(measures, arrays, *row) for row in networks.itertuples(index=False)]
    tables = explained(runs_of(measures, noises))
    return measures, tables | {"baselines": averages.baselines(measures)}


def published(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the summaries without what is left out."""
    found = {}
    for name in SUMMARIES:
        table = tables[name]
        for column, values in LEFT_OUT.items():
            if column in table:
                table = table[~table[column].isin(values)]
        found[name] = table.reset_index(drop=True)
    return found


def file_of(folder: Path, name: str) -> Path:
    """Where a table is published; the longest is compressed."""
    return folder / f"{name}.csv{'.gz' if name == 'agreement_summary' else ''}"


def write(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables, in five digits."""
    for name, table in published(tables).items():
        path = file_of(folder, name)
        packed = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
        table.to_csv(path, index=False, float_format="%.5g", compression=packed)


def processor() -> str:
    """Name the processor and the instructions that torch uses of it: others give other last bits."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else "processor not known"
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _columns(measures: pd.DataFrame) -> list[str]:
    found = [*csv_tables.ROW, "weights"]
    for measure in catalogue.MEASURES:
        found += [measure.column, catalogue.from_control(measure.column)]
    for split in ("train", "test"):
        found += [f"{split}_{what}" for what in ("examples", "loss", "accuracy")]
    for name in DIFFERENCES:
        found += [name, f"{name}_signed", f"{name}_se"]
    return [name for name in dict.fromkeys(found) if name in measures]


def _key(noise: Noise) -> str:
    return f"{noise.origin.dataset}|{noise.origin.model}|{noise.origin.trial}"


def _rows(measures: pd.DataFrame, noise: Noise) -> pd.Series:
    origin = noise.origin
    found = (measures["dataset"] == origin.dataset) & (measures["model"] == origin.model)
    return found & (measures["trial"] == origin.trial)


def _packed(noise: Noise, counts: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    upper = np.triu_indices(len(noise.variants))
    made: dict[str, NDArray[Any]] = {"variants": np.array(noise.variants)}
    for name in DIFFERENCES:
        ends = noise.covariance[name][[0, -1]]
        made[f"covariance.{name}"] = ends[:, upper[0], upper[1]]
    for name in ("test_pd_loss", "test_pd_accuracy"):
        drawn = noise.resampled[name][..., :RESAMPLES].astype(float)
        step = np.abs(drawn).max(axis=-1, keepdims=True) / _STEPS
        if name.endswith("accuracy"):
            step = np.full_like(step, 1 / counts["test"])
        step = step.astype(np.float32)
        made[f"step.{name}"] = step
        made[f"resampled.{name}"] = np.rint(drawn / np.where(step > 0, step, 1)).astype(np.int16)
    return made


def _noise(
    measures: pd.DataFrame, arrays: Mapping[str, NDArray[Any]], dataset: str, model: str, trial: int
) -> Noise:
    rows = measures[(measures["dataset"] == dataset) & (measures["model"] == model)]
    rows = rows[rows["trial"] == trial]
    key, epochs = f"{dataset}|{model}|{trial}", rows["epoch"].nunique()
    variants = rows[["mode", "ratio"]].drop_duplicates().itertuples(index=False)
    names = [str(Variant(mode, float(ratio))) for mode, ratio in variants]
    if f"{key}|variants" in arrays:
        names = [str(name) for name in arrays[f"{key}|variants"]]
    size = len(names)
    covariance = {name: np.full((epochs, size, size), np.nan) for name in DIFFERENCES}
    resampled = {name: np.full((2, size, RESAMPLES), np.nan, np.float32) for name in DIFFERENCES}
    first, second = np.triu_indices(size)
    for name in DIFFERENCES:
        if (upper := arrays.get(f"{key}|covariance.{name}")) is not None:
            for at, values in zip((0, -1), upper, strict=True):
                covariance[name][at, first, second] = covariance[name][at, second, first] = values
        if (drawn := arrays.get(f"{key}|resampled.{name}")) is not None:
            resampled[name] = drawn * arrays[f"{key}|step.{name}"]
    return Noise(Origin(dataset, model, int(trial), 0), names, covariance, resampled)
