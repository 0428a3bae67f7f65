"""Each process holds a card of its own, whatever CUDA_VISIBLE_DEVICES calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "stand_in_cards.py"


@pytest.fixture
def start(tmp_path):
    """Starts a process that wants a card; locks are in a folder of this test's own."""
    started = []

    def begin(visible, name="cuda"):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), name],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": visible, "TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with process:
            process.kill()


def held(process):
    """The card that a process holds; waits until it does."""
    return process.stdout.readline().removeprefix("holding ").rstrip()


def test_orders_differ_and_cards_are_shared_out(start):
    visible = ["0,1,2,3", "3,2,1,0", "3,0,2", "0,1"]
    assert [held(start(order)) for order in visible] == [
        "card-0 as 0",
        "card-3 as 0",
        "card-2 as 2",
        "card-1 as 1",
    ]


def test_many_at_once_take_distinct_cards(start):
    visible = ["0,1,2,3", "3,2,1,0", "1,0,3,2", "2,3,0,1"]
    processes = [start(order) for order in visible]
    assert len({held(process).partition(" ")[0] for process in processes}) == 4


@pytest.mark.parametrize("end", ["close", "kill"])
def test_who_finds_no_card_says_so_and_waits(start, end):
    first, second = start("1,0"), start("0,1")
    assert {held(first), held(second)} == {"card-1 as 0", "card-0 as 0"}
    third = start("0,1")
    said = third.stderr.readline()
    assert said == "all 2 cards are in use by other jobs of ap3; waiting for one to end.\n"
    # By a SIGKILL the card is free as well.
    first.stdin.close() if end == "close" else first.kill()
    assert held(third) == "card-1 as 1"


def test_one_card_that_is_asked_for_is_waited_for(start):
    first = start("5,4", "cuda:1")
    assert held(first) == "card-4 as 1"
    second = start("4,5", "cuda:0")
    assert second.stderr.readline().startswith("card 0 is in use by other jobs of ap3; waiting")
    first.stdin.close()
    assert held(second) == "card-4 as 0"
