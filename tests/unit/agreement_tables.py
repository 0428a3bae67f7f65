"""Small tables of measures with their noise, for the tests of what is made of them."""

import numpy as np
import pandas as pd

from ap3.explaining.trial_grids import DIFFERENCES, runs_of
from ap3.measuring.sampling_noise import Noise
from ap3.pruning.pruned import Origin

MODES, RATIOS = ("lowest", "highest"), (0.1, 0.5, 0.8)


def measures(trials=2, seed=0, noise=0.0):
    """Tables in which AP2 predicts the PD without fault and the cosine distance never does."""
    rng = np.random.default_rng(seed)
    rows = []
    for trial in range(1, trials + 1):
        for mode, ratio in [("control", 0.0), *((m, r) for m in MODES for r in RATIOS)]:
            for epoch in (0, 1, 2):
                size = 0.001 * epoch + {"control": 0, "lowest": 0.1, "highest": 1.0}[mode] * ratio
                size *= 1 + 0.01 * trial
                off = noise * rng.normal()
                if (mode, epoch) == ("control", 0):  # the baseline itself
                    off = 0.0
                rows.append(row(trial, mode, ratio, epoch, size + off, size))
    return pd.DataFrame(rows)


def row(trial, mode, ratio, epoch, pd_size, size):
    made = {"dataset": "d", "model": "n", "trial": trial, "mode": mode, "ratio": ratio}
    made |= {"epoch": epoch, "ap2": size, "cosine_distance": 2 - size, "taylor": -size}
    made |= {"magnitude_pruned": ratio, "ap2_from_control": max(size - 0.001 * epoch, 0)}
    for split in ("train", "test"):
        made[f"{split}_examples"] = 1000
        for what in ("loss", "accuracy"):
            made |= {f"{split}_pd_{what}_signed": pd_size, f"{split}_pd_{what}_se": 1e-6}
    return made


def noises(made, shared=0.0, draws=60):
    """Noise with the tables' standard errors, of which a part is `shared` by all variants."""
    found = []
    for trial, rows in made.groupby("trial"):
        rng = np.random.default_rng(trial)
        names = [f"{m}-{r}" if m != "control" else m for m, r in VARIANTS]
        covariance, resampled = {}, {}
        for name in DIFFERENCES:
            grid = rows.pivot_table([f"{name}_signed", f"{name}_se"], "epoch", ["mode", "ratio"])
            error, signed = (
                grid[f"{name}_{part}"][VARIANTS].to_numpy() for part in ("se", "signed")
            )
            together = shared + (1 - shared) * np.eye(len(VARIANTS))
            covariance[name] = error[:, :, None] * error[:, None, :] * together
            common, own = rng.normal(size=(1, draws)), rng.normal(size=(len(VARIANTS), draws))
            noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
            ends = signed[[0, -1], :, None] + error[[0, -1], :, None] * noise
            resampled[name] = ends.astype(np.float32)
            if name.endswith("accuracy"):  # these PDs are no counts of examples
                covariance[name][:] = np.nan
        found.append(Noise(Origin("d", "n", trial, 0), names, covariance, resampled))
    return found


VARIANTS = [("control", 0.0), *((mode, ratio) for mode in MODES for ratio in RATIOS)]


def runs(made, **options):
    return runs_of(made, noises(made, **options))
