"""Plays `ap3 STAGE …` on a node with cards: a job holds a card until as many are at work as there are.

Run as a program called ap3; `AT_WORK` is a folder in which each job at work on a card is a file, and
the file `stages` lists all jobs in the order of their ends.
"""

import os
import sys
import time
from pathlib import Path

OUTPUTS = ("--out", "--checkpoint", "--history")


def work_on_a_card(folder: Path) -> None:
    from stand_in_cards import current, hold, play

    torch = play()
    cards = len(os.environ["CUDA_VISIBLE_DEVICES"].split(","))
    with hold("auto"):
        mine = folder / current(torch)
        mine.touch(exist_ok=False)  # or two jobs have one card
        end = time.monotonic() + 120
        while not (folder / "all").exists():
            if len(list(folder.glob("card-*"))) == cards:
                (folder / "all").touch()
            if time.monotonic() > end:
                sys.exit(f"after two minutes not all of {cards} cards are at work")
            time.sleep(0.05)
        with (folder / "done").open("a", encoding="utf-8") as done:
            done.write(f"{mine.name}\n")
        mine.unlink()


if __name__ == "__main__":
    stage, at_work = sys.argv[1], Path(os.environ["AT_WORK"])
    if stage == "baseline":
        work_on_a_card(at_work)
    with (at_work / "stages").open("a", encoding="utf-8") as stages:
        stages.write(f"{stage}\n")
    for option, path in zip(sys.argv, sys.argv[1:], strict=False):
        if option in OUTPUTS:
            for suffix in (".csv", ".safetensors"):
                Path(path).with_suffix(suffix).touch()
