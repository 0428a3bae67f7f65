"""What a study left in its folder: settings, tables, figures, and what its jobs took."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ap3.config.user_code import folder_name
from ap3.errors import MissingFileError
from ap3.explaining.trial_grids import COMPARED, DIFFERENCES
from ap3.files import csv_tables
from ap3.machine.job_log import Record
from ap3.study.settings import Study
from ap3.study.stored import SETTINGS, read_study

_COUNTS = ("weights", "train_examples", "test_examples")
_MEASURE = ("dataset", "model", "measure")
_MEAN = ("n", "mean", "sd")
_SUMMARIES = {
    "baselines": (_MEASURE, _MEAN),
    "summary": ((*_MEASURE, "mode", "ratio"), _MEAN),
    "agreement_summary": (
        (*_MEASURE, "epoch", "reference", "pd", "among", "statistic", "sees"),
        (*_MEAN, "holm", "flips"),
    ),
    "choice_summary": ((*_MEASURE, "epoch", "sees"), ("n", "safe", "chosen", "best")),
    "bounds_summary": (("dataset", "model", "law", "bound", "phase"), ("n", "failing", "median")),
}
"""Tables made from the measures, with the columns that tell their rows apart and those asked for."""

_TRAINING = ("dataset", "model", "mode", "batch_norm")
_NETWORK_ROW = (*csv_tables.ROW, "allocation", "batch_norm")
_OF_NETWORKS = {
    "ranking": ((*_MEASURE, "trial", "mode", "epoch", "batch_norm", "pd", "among"), ("n", "rho")),
    "ranking_summary": ((*_MEASURE, "mode", "epoch", "pd", "among", "statistic"), _MEAN[:2]),
    "size_summary": ((*_MEASURE, "mode", "epoch", "how"), ("n", "decades")),
    "additivity_summary": ((*_TRAINING, "from", "to"), ("n", "share_wrong")),
    "sensitivity": (("dataset", "model", "trial", "layer", "ratio", "batch_norm"), DIFFERENCES),
}
"""Tables of a study over any layers, beside its variants."""

_OPTIONAL = {
    "agreement": ((*_MEASURE, "trial", "epoch", "reference", "pd", "among"), ("agreement",)),
    "contrast_summary": ((*_MEASURE, "epoch", "ratio", "mode", "other"), ("n", "mean", "sd")),
    "within_summary": (
        (*_MEASURE, "epoch", "reference", "pd", "sees", "statistic"),
        ("among", "n", "mean", "low", "high", "gain"),
    ),
    "layers_summary": (("dataset", "model", "trial", "layer", "depth"), ("n", "rho", "larger")),
}
"""Tables that not every study has."""


@dataclass(frozen=True)
class Results:
    """A finished study.

    Attributes
    ----------
    tables
        By name; `measures` has a row per variant, whatever file it comes from.
    figures
        The PNG of each figure by name, in the order of the page, its PDF beside it.
    records
        What each job took whose log says so; none for results taken from a cache.
    """

    study: Study
    tables: dict[str, pd.DataFrame]
    figures: dict[str, Path]
    records: list[Record]

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """Read the folder of a study, such as `results/demo`.

        Raises
        ------
        UserError
            If settings, a table or all figures are missing.
        """
        study = read_study(folder / SETTINGS)
        first = "variants" if study.over_layers else "measures"
        row = _NETWORK_ROW if study.over_layers else csv_tables.ROW
        wanted = _OF_NETWORKS if study.over_layers else _SUMMARIES | _there(folder, study)
        numbers = (*_COUNTS, *COMPARED)
        measures = csv_tables.read_all([_path(folder, first)], *row, *_COUNTS, values=numbers)
        summaries = {
            name: csv_tables.read(_path(folder, name), *keys, values=values)
            for name, (keys, values) in wanted.items()
        }
        drawn = {name: folder / "figures" / f"{name}.png" for name in _figures(study)}
        missing = [str(path) for path in drawn.values() if not path.exists()]
        if missing:
            raise MissingFileError(
                f"{missing[0]} does not exist; make the figures of the study first."
            )
        records = list(_records(folder, study))
        return cls(study, {"measures": measures} | summaries, drawn, records)


def _there(folder: Path, study: Study) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Choose what the study has; what an earlier configuration left in its folder is not its own."""
    others = set() if study.random_masks else {"within_summary"}
    others |= set() if study.settings["finetuning"]["scope"] == "all" else {"layers_summary"}
    mine = {name: of for name, of in _OPTIONAL.items() if name not in others}
    return {name: of for name, of in mine.items() if _path(folder, name).exists()}


def _path(folder: Path, table: str) -> Path:
    return folder / "tables" / f"{table}.csv"


def _figures(study: Study) -> list[str]:
    if study.over_layers:
        return ["prediction", "sensitivity"]
    within = ["within"] if study.random_masks else []
    return [*study.figures, "agreement", *within, "bounds"]


def _names(log: Path) -> set[str]:
    """Name all that a log may be of: `data/digits.800.log` is of `digits`."""
    stem = log.with_suffix("")
    return {*stem.parts, *(part.rpartition(".")[0] for part in stem.parts)}


def _is_of(study: Study, log: Path) -> bool:
    """Whether a log is of a pair and a trial that the study still has: `DATA/NETWORK/trialN/logs/…`."""
    place = log.parts[:-2]
    pairs = {tuple(map(folder_name, pair)) for pair in study.pairs}
    trials = {f"trial{trial}" for trial in study.trials}
    return place[:2] in {(), *pairs} and set(place[2:]) <= trials


def _records(folder: Path, study: Study) -> Iterator[Record]:
    """Read the logs of the study, and of the data and weights that it shares with others."""
    shared = {folder_name(name) for pair in study.pairs for name in pair}
    logs = [log for log in sorted(folder.rglob("*.log")) if _is_of(study, log.relative_to(folder))]
    for log in sorted((folder.parent / "logs").rglob("*.log")):
        names = _names(log.relative_to(folder.parent))
        logs += [log] if names & shared else []
    for log in logs:
        if record := Record.last(log.read_text(encoding="utf-8", errors="replace")):
            yield record
