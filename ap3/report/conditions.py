"""Under what conditions a study was run: versions, device, seeds, and what each stage took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ap3.machine.job_log import Record
from ap3.measuring.covariance import DENSE_AT_MOST
from ap3.report.flow import graph
from ap3.study.settings import Study


@dataclass(frozen=True)
class Took:
    """What the jobs of one stage took; none are known where results came from a cache."""

    stage: str
    jobs: int
    total: float
    longest: float
    megabytes: int
    devices: str


def took(study: Study, records: Sequence[Record]) -> list[Took]:
    """Add up the jobs of each stage but the report itself."""
    return [_took(stage, records) for stage in graph(study) if stage != "report"]


def _took(stage: str, records: Sequence[Record]) -> Took:
    mine = [record for record in records if record.stage == stage]
    return Took(
        stage,
        len(mine),
        sum(record.seconds for record in mine),
        max((record.seconds for record in mine), default=0.0),
        max((record.megabytes for record in mine), default=0),
        _listed(record.device for record in mine),
    )


def versions(records: Sequence[Record]) -> dict[str, str]:
    """Return every version that any job ran with, by package."""
    names = dict.fromkeys(name for record in records for name in record.versions)
    return {name: _listed(record.versions.get(name) for record in records) for name in names}


def settings(study: Study) -> dict[str, str]:
    """Return what a reader asks first of how a study was run."""
    given = study.settings
    finetuning, training, latent = (given[key] for key in ("finetuning", "training", "latent"))
    scope = {
        "head": f"the last layer only, {finetuning['epochs']} epochs, views {finetuning['views']}",
        "all": f"the whole network, {finetuning['epochs']} epochs, views {finetuning['views']}",
    }.get(finetuning["scope"], "not at all")
    return {
        "seed": f"{given['seed']}; every draw derives its own from it and from names",
        "CPU threads of each job": str(given["threads"]),
        "image size": _or(given["image_size"], "that of the pretrained weights", " pixels"),
        "training": f"SGD, momentum {training['momentum']}, weight decay "
        f"{training['weight_decay']:g}, batch {training['batch_size']}, augmentation "
        f"{training['augmentation']}",
        "baseline kept": f"the best epoch by {given['validation']:.0%} of the training data"
        if given["validation"]
        else "the last epoch",
        "fine-tuned": scope,
        "Student-t law": f"df {latent['df']:g}, located by "
        + _or(latent["groups"], "every weight", " group means"),
        "non-diagonal law": f"{_rotation(latent['rotation'])} rotation",
    }


def _rotation(rotation: str) -> str:
    if rotation != "auto":
        return rotation
    return f"dense (up to {DENSE_AT_MOST:,} weights) or fast"


def _or(value: object, otherwise: str, unit: str = "") -> str:
    return otherwise if value is None else f"{value}{unit}"


def _listed(values: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value)) or "–"
