"""The rows of `bench/card.py` as tables in Markdown, and the hours of study `paper` from them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from card_cells import BARE, FORWARD, LAYERS, PLAIN, VIEWS, WAYS

from ap3.study.settings import Study, read_studies

WORKFLOW = Path(__file__).parents[1] / "workflow"
MISSING = "not measured"
IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "tiny-imagenet": 100_000}
TEST_IMAGES = 10_000
"""Of each of these data sets."""
SGD_BYTES = 24
"""What a step reads and writes for each weight: the gradient twice, weight and momentum twice."""

Row = Mapping[str, Any]
Cells = dict[tuple[str, str], Row]


def study() -> Study:
    """Read study `paper` as it is published."""
    text = (WORKFLOW / "studies/paper.yaml").read_text(encoding="utf-8")
    schema = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
    return read_studies({"study": "paper", "studies": yaml.safe_load(text)}, schema)["paper"]


def way_of_study() -> str:
    """Name the way in which study `paper` runs its networks."""
    settings = study().settings
    training = settings["training"]
    wanted = settings["precision"], training["channels_last"], training["compile"], False
    found = {
        (w.precision, w.channels_last, w.compile, w.benchmark): name for name, w in WAYS.items()
    }
    return found[wanted]


def markdown(rows: Iterable[Row]) -> str:
    """Write all that is known so far; what is not stands as not measured."""
    rows = list(rows)
    cells = {(one["model"], one["name"]): one for one in rows if one["kind"] == "cell"}
    limits = {one["name"]: one["per_second"] for one in rows if one["kind"] == "limit"}
    networks = {one["model"]: one for one in rows if one["kind"] == "network"}
    parts = [_about(rows), _comparison(rows), _limits(limits)]
    if networks:
        parts += [_rates(cells, networks), _shares(cells, networks, limits), _hours(cells)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def _about(rows: list[Row]) -> str:
    told = [one for one in rows if one["kind"] == "conditions"]
    return "\n".join(f"- {k}: {v}" for one in told for k, v in one.items() if k != "kind")


def _comparison(rows: list[Row]) -> str:
    lines = [
        [
            one["what"],
            f"{one['found']:.2g}",
            f"{one['most']:g}",
            "right" if one["right"] else "**wrong**",
        ]
        for one in rows
        if one["kind"] == "comparison"
    ]
    return _table(["card beside CPU", "found", "at most", ""], lines) if lines else ""


def _limits(limits: Mapping[str, float]) -> str:
    lines = [
        [name, f"{rate / 1e12:.3g} {'TB/s' if name == 'copying' else 'TFLOP/s'}"]
        for name, rate in limits.items()
    ]
    return _table(["limit of the card", ""], lines) if lines else ""


def _rate(cell: Row | None) -> float | None:
    return None if cell is None else cell.get("images_per_second")


def _rates(cells: Cells, networks: Mapping[str, Row]) -> str:
    """Images a second: median of the rounds, slowest to fastest."""

    def text(model: str, name: str) -> str:
        cell = cells.get((model, name))
        if cell is None:
            return MISSING
        if "failed" in cell:
            return f"failed: {cell['failed'][:60]}"
        spread = f"({cell['slowest']:,.4g} to {cell['fastest']:,.4g}, n = {cell['n']})"
        return f"{cell['images_per_second']:,.4g} {spread}"

    names = [*WAYS, BARE, PLAIN, FORWARD, VIEWS, LAYERS]
    lines = [[name, *(text(model, name) for model in networks)] for name in names]
    return _table(["images/s", *networks], lines)


def _shares(cells: Cells, networks: Mapping[str, Row], limits: Mapping[str, float]) -> str:
    """Set the study's own way against bare steps, the recipe and the card's limit; tell its memory."""
    own = way_of_study()
    lines: dict[str, list[str]] = {}
    for model, network in networks.items():
        mine = _rate(cells.get((model, own)))
        others = [_rate(cells.get((model, name))) for name in (BARE, PLAIN)]
        limit = _limit(network, limits, WAYS[own].precision)
        for name, other in zip(
            ("over bare step", "over the recipe", "share of the card's limit"),
            (*others, limit),
            strict=True,
        ):
            known = mine is not None and other is not None
            lines.setdefault(name, []).append(f"{mine / other:.3g}" if known else MISSING)
        peak = cells.get((model, own), {}).get("peak_gib")
        lines.setdefault("peak memory of ours alone", []).append(
            MISSING if peak is None else f"{peak:.2f} GiB"
        )
    return _table([own, *networks], ([name, *values] for name, values in lines.items()))


def _limit(network: Row, limits: Mapping[str, float], precision: str) -> float | None:
    """Most images a second: all products at the card's rate, and each step's weights at its bandwidth."""
    if precision not in limits or "copying" not in limits:
        return None
    update = SGD_BYTES * network["parameters"] / limits["copying"] / network["batch"]
    return 1 / (network["flops"] / limits[precision] + update)


def _hours(cells: Cells) -> str:
    """Hours of one card for all that study `paper` trains and evaluates, by stage and by network."""
    paper, own = study(), way_of_study()
    needed = (own, FORWARD, VIEWS, LAYERS, PLAIN)
    models = dict.fromkeys(model for _, model in paper.pairs)
    missing = [one for one in models if None in [_rate(cells.get((one, name))) for name in needed]]
    if missing:
        return f"Hours of study paper: {MISSING}, for lack of {', '.join(missing)}."
    ours = {pair: _ours(paper, *pair, cells) for pair in paper.pairs}
    recipe = {pair: _recipe(paper, *pair, cells) for pair in paper.pairs}
    stages = _summed(ours.values())
    theirs = _summed(recipe.values())
    lines = [
        [f"{name}, hours", f"{seconds / 3600:.2f}", _or(theirs, name)]
        for name, seconds in (*stages.items(), ("in all", sum(stages.values())))
    ]
    lines[-1][-1] = f"{sum(theirs.values()) / 3600:.1f}"
    each = [
        [*pair, *(f"{sum(one[pair].values()) / 3600:.3g}" for one in (ours, recipe))]
        for pair in paper.pairs
    ]
    trials = f"hours of {paper.settings['trials']} trials"
    return "\n\n".join(
        [
            _table(["study `paper` on one such card", own, PLAIN], lines),
            _table(["data", "network", f"{trials}, {own}", f"{trials}, {PLAIN}"], each),
        ]
    )


def _ours(paper: Study, dataset: str, model: str, cells: Cells) -> dict[str, float]:
    """Seconds of each stage, all trials of one network on one data set."""
    train, forward, views, layers = (
        cells[model, name]["images_per_second"] for name in (way_of_study(), FORWARD, VIEWS, LAYERS)
    )
    count, trials = IMAGES[dataset], paper.settings["trials"]
    epochs, tuning = paper.recipe(dataset, model)["epochs"], paper.settings["finetuning"]
    held = paper.settings["validation"] * count
    return {
        "baseline": trials * epochs * (count - held) / train,
        "its validation": trials * epochs * held / forward,
        "features": trials * (count + TEST_IMAGES) / forward,
        "views": trials * count * tuning["views"] / views,
        "finetune": trials * count * tuning["epochs"] / layers,
    }


def _recipe(paper: Study, dataset: str, model: str, cells: Cells) -> dict[str, float]:
    """Seconds of the plain recipe, which tunes one variant after the other."""
    plain = cells[model, PLAIN]["images_per_second"]
    count, trials = IMAGES[dataset], paper.settings["trials"]
    trained = (1 - paper.settings["validation"]) * count * paper.recipe(dataset, model)["epochs"]
    tuned = len(paper.variants) * count * paper.settings["finetuning"]["epochs"]
    return {"baseline": trials * trained / plain, "finetune": trials * tuned / plain}


def _summed(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found = Counter[str]()
    for one in parts:
        found.update(one)
    return dict(found)


def _or(recipe: Mapping[str, float], name: str) -> str:
    return f"{recipe[name] / 3600:.1f}" if name in recipe else "none"
