"""How the stages of a study follow from one another, and where they stand in a drawing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx as nx

from ap3 import datasets
from ap3.machine.job_log import Record
from ap3.models.names import NO_WEIGHTS, is_file
from ap3.study.settings import Study

Point = tuple[str, int]
"""A stage, or a lane of an arrow to it, in a layer."""

# A stage, and the stages whose results it may need.
_NEEDS: dict[str, tuple[str, ...]] = {
    "fetch": (),
    "data": ("fetch",),
    "subset": ("data",),
    "weights": (),
    "baseline": ("data", "subset", "weights"),
    "features": ("data", "subset", "baseline"),
    "views": ("data", "subset", "baseline"),
    "prune": ("baseline",),
    "finetune": ("baseline", "features", "views", "prune"),
    "covariance": ("baseline",),
    "measure": ("baseline", "features", "finetune", "covariance"),
    "bounds": ("baseline", "features", "finetune", "covariance"),
    "tables": ("measure",),
    "agreement": ("measure",),
    "theory": ("bounds",),
    "depth": ("finetune",),
    "figure": ("measure",),
    "allocations": ("baseline",),
    "evaluate": ("allocations", "baseline", "data", "subset"),
    "ranking": ("evaluate",),
    "report": ("tables", "agreement", "theory", "depth", "figure", "ranking"),
}

_OVER_LAYERS = ("allocations", "evaluate", "ranking")
_LAST_LAYER = (
    *("features", "views", "prune", "finetune", "covariance", "measure", "bounds"),
    *("tables", "agreement", "theory", "depth", "figure"),
)

_STEP, _ROW, _BOX = 136, 58, (104, 40)
_BEND = 26


@dataclass(frozen=True)
class Box:
    """A stage in the drawing: the middle of its box, and what its jobs took."""

    stage: str
    x: float
    y: float
    jobs: int
    seconds: float


@dataclass(frozen=True)
class Flow:
    """The drawing: its size in pixels, its boxes, and the paths of its arrows (SVG)."""

    width: float
    height: float
    box: tuple[int, int]
    boxes: list[Box]
    arrows: list[str]


def graph(study: Study) -> nx.DiGraph:
    """Return the stages that a study goes through, each after those that it needs.

    Needs that follow from others are left out.
    """
    absent = set(_absent(study))
    present = [stage for stage in _NEEDS if stage not in absent]
    idle = set(_idle(study))
    whole = nx.DiGraph(
        (need, stage)
        for stage in present
        for need in _NEEDS[stage]
        if need in present and (need, stage) not in idle
    )
    reduced = nx.DiGraph()
    reduced.add_nodes_from(present)
    reduced.add_edges_from(sorted(nx.transitive_reduction(whole).edges))  # its own order is chance
    return reduced


def _absent(study: Study) -> Iterator[str]:
    """Name the stages that a study has no use for."""
    networks = study.networks.values()
    yield from _LAST_LAYER if study.over_layers else _OVER_LAYERS
    if not any(datasets.get(dataset).files for dataset, _ in study.pairs):
        yield "fetch"
    if all(network["weights"] == NO_WEIGHTS or is_file(network["weights"]) for network in networks):
        yield "weights"
    if not any(study.examples(*pair) for pair in study.pairs):
        yield "subset"
    if not study.has_views:
        yield "views"
    if study.settings["finetuning"]["scope"] == "head":
        yield "depth"


def _idle(study: Study) -> Iterator[tuple[str, str]]:
    """Name the needs of a stage that this study has not."""
    if study.settings["finetuning"]["scope"] == "all":
        yield "features", "finetune"
    if not any(study.figure_pairs(figure) for figure in study.figures):
        yield "measure", "figure"


def flow(study: Study, records: Sequence[Record]) -> Flow:
    """Lay the stages of a study out in layers, from left to right, each as late as it can be."""
    needs = graph(study)
    late = list(nx.topological_generations(needs.reverse()))[::-1]
    column = {stage: number for number, layer in enumerate(late) for stage in layer}
    ways = [_way(one, two, column) for one, two in needs.edges]
    places = _places(list(needs), column, ways)
    boxes = [_box(stage, *places[stage, column[stage]], records) for stage in needs]
    height = max(y for _, y in places.values()) + _ROW / 2
    return Flow(_STEP * len(late), height, _BOX, boxes, [_path(way, places) for way in ways])


def _way(one: str, two: str, column: dict[str, int]) -> list[Point]:
    """Return the points that an arrow goes through: a stage, lanes between others, a stage."""
    between = range(column[one] + 1, column[two])
    return [(one, column[one]), *((two, c) for c in between), (two, column[two])]


def _places(
    present: list[str], column: dict[str, int], ways: list[list[Point]]
) -> dict[Point, tuple[float, float]]:
    """Return where each point stands: the boxes and lanes of a layer under one another."""
    points = dict.fromkeys([*column.items(), *(point for way in ways for point in way)])
    layers = [
        sorted((p for p in points if p[1] == c), key=lambda p: present.index(p[0]))
        for c in range(max(column.values()) + 1)
    ]
    rows = max(map(len, layers))
    return {
        point: (_STEP * (point[1] + 0.5), _ROW * (row + 0.5 + (rows - len(layer)) / 2))
        for layer in layers
        for row, point in enumerate(layer)
    }


def _path(way: list[Point], places: dict[Point, tuple[float, float]]) -> str:
    """Return a curve through the places of a way, straight where it passes a layer."""
    half = _BOX[0] / 2
    x, y = places[way[0]]
    path = f"M{x + half} {y}"
    x += half
    for point in way[1:]:
        to_x, to_y = places[point]
        left = to_x - half
        path += f" C{x + _BEND / 2} {y} {left - _BEND / 2} {to_y} {left} {to_y}"
        if point != way[-1]:
            path += f" H{to_x + half}"
        x, y = to_x + half, to_y
    return path


def _box(stage: str, x: float, y: float, records: Sequence[Record]) -> Box:
    mine = [record.seconds for record in records if record.stage == stage]
    return Box(stage, x, y, len(mine), sum(mine))
