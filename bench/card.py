"""The paper's networks on a CUDA card, within a lease of ten minutes.

    python bench/card.py --out card --budget 560
    python bench/card.py --out card --budget 60 --device cpu --pixels 32 --models small_vgg \
        --examples 40 --batch 20    # a trial run

First twenty seconds of comparison with the CPU; a card that fails it is told, and measured all the
same. Then the card's own limits, and cell after cell, the most wanted first. Each row is appended
to `rows.jsonl` as soon as it is known, and `card.md` is written anew, so that a run that is cut off
leaves all that it has measured. What the budget had no time for stays as "not measured".
"""

import argparse
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import card_cells
import card_table
import torch
from card_cells import BARE, FORWARD, LAYERS, PLAIN, VIEWS, WAYS, Size
from card_checks import checks
from measuring import conditions

from ap3.files.storage import write_atomically
from ap3.machine.device import processor
from ap3.models.names import PAPER

FIRST = (FORWARD, BARE, PLAIN, VIEWS, LAYERS)
COMPILED = "bfloat16, compiled"
GUESS = 20.0  # seconds of a cell of which nothing is known yet
GUESS_COMPILED = 90.0


def main() -> None:
    """Measure as much as the budget allows."""
    start = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for rows and table")
    parser.add_argument("--budget", type=float, required=True, help="seconds in all")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="*", default=list(PAPER))
    cells = [*WAYS, *FIRST]
    parser.add_argument("--cells", nargs="*", choices=cells, default=cells, help="what of each")
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--batch", type=int, default=128)
    told = f"images of one round; {card_cells.LONGER} times as many in bfloat16"
    parser.add_argument("--examples", type=int, default=128 * 8, help=told)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each cell")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA card: not measured")
        return
    rows = Rows(options.out)
    rows.add("conditions", **_conditions(options))
    for check in checks(options.device):
        rows.add("comparison", **check._asdict(), right=check.right)
    for name, rate in card_cells.limits(options.device, *_edge(options.device)):
        rows.add("limit", name=name, per_second=rate)
    for model in options.models:
        flops, parameters = card_cells.operations(model, options.pixels)
        rows.add("network", model=model, flops=flops, parameters=parameters, batch=options.batch)
    _measure(rows, options, start + options.budget)
    print(f"\n{card_table.markdown(rows.rows)}")


class Rows:
    """What is known so far, on the screen and on the disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rows = folder, list[dict[str, object]]()
        (folder / "rows.jsonl").unlink(missing_ok=True)

    def add(self, kind: str, **values: object) -> None:
        """Keep one row, and write the table anew."""
        row = {"kind": kind, **values}
        self.rows.append(row)
        line = json.dumps(row)
        print(line, flush=True)
        with (self.folder / "rows.jsonl").open("a", encoding="utf-8") as kept:
            kept.write(f"{line}\n")
        text = card_table.markdown(self.rows)
        write_atomically(
            self.folder / "card.md", lambda path: path.write_text(text, encoding="utf-8")
        )


def _measure(rows: Rows, options: argparse.Namespace, end: float) -> None:
    """Measure cell after cell while there is time for another."""
    size = Size(options.pixels, options.batch, options.examples, options.rounds)
    own = card_table.way_of_study()
    slowest: dict[str, float] = {}
    for name, model in _order(own, options.models):
        if name not in options.cells:
            continue
        expected = slowest.get(name, GUESS_COMPILED if name == COMPILED else GUESS)
        if time.monotonic() + expected > end:
            continue
        start = time.monotonic()
        try:
            found = card_cells.cell(name, model, options.device, size, WAYS[own])
        except Exception as error:  # one cell that fails costs no other
            found = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        taken = time.monotonic() - start
        slowest[name] = max(slowest.get(name, 0.0), taken)
        rows.add("cell", model=model, name=name, **found, seconds=taken)


def _order(own: str, models: list[str]) -> Iterator[tuple[str, str]]:
    """List the cells, those first that the hours of the study are made of, compiled ones last."""
    others = sorted((name for name in WAYS if name != own), key=lambda name: name == COMPILED)
    for name in (own, *FIRST, *others):
        for model in models:
            yield name, model


def _edge(device: str) -> tuple[int, int]:
    """Edge of the matrices whose product is the limit, and rounds."""
    return (64, 2) if device == "cpu" else (8192, 5)


def _conditions(options: argparse.Namespace) -> dict[str, object]:
    """Say what the card is and what drives it."""
    told = {
        key: value for key, value in vars(options).items() if key not in ("out", "models", "cells")
    }
    about: dict[str, object] = {"machine": conditions(**told), "card": "none: a CPU stands in"}
    if options.device == "cpu":
        return about
    with processor(options.device, torch.get_num_threads()) as where:
        properties = torch.cuda.get_device_properties(where)
        about["card"] = f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"
        identity = f"GPU-{properties.uuid}"
    about["cuda"], about["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    fields = "driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu"
    command = ["nvidia-smi", f"--id={identity}", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", check=True, timeout=10
        )
        about |= dict(zip(fields.split(","), answer.stdout.strip().split(", "), strict=True))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        about["driver_version"] = f"not known: {error}"
    return about


if __name__ == "__main__":
    main()
