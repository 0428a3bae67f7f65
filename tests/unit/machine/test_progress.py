"""Bars: on a terminal once a step has taken long, nowhere else, and gone when the step ends."""

import numpy as np
import pytest
import torch
from torch import nn

from ap3.comparing.layer_table import compare
from ap3.errors import UserError
from ap3.machine import progress
from ap3.machine.job_log import timed
from ap3.machine.progress import counted
from ap3.models.preprocessing import View
from ap3.training.evaluation import logits_of
from ap3.training.sgd import Recipe, train

CPU = torch.device("cpu")
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


@pytest.fixture
def at_once(monkeypatch):
    """Every step counts as long."""
    monkeypatch.setattr(progress, "LONG", -1.0)


@pytest.mark.parametrize("items", [["a", "b", "c"], iter("abc")], ids=["list", "iterator"])
def test_a_long_step_is_counted(on_terminal, at_once, items):
    given = []
    shown = on_terminal(lambda: given.extend(counted(items, "letters", 3)))
    assert given == ["a", "b", "c"]
    assert "letters" in shown
    assert "/3" in shown


def test_a_short_step_shows_nothing(on_terminal):
    assert on_terminal(lambda: list(counted(range(3), "numbers"))) == ""


def test_no_bar_outside_a_terminal(at_once, capsys):
    assert list(counted(range(3), "numbers")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_bars_within_a_failing_command_leave_the_terminal_as_it_was(on_terminal, at_once):
    @timed
    def fail():
        for _ in counted(range(2), "outer"):
            for _ in counted(range(2), "inner"):
                raise UserError("no")

    def run():
        with pytest.raises(UserError):
            fail()

    shown = on_terminal(run)
    assert "ap3 fail" in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2))


def evaluate():
    logits_of(network(), torch.zeros(2, 3, 4, 4, dtype=torch.uint8), View(4), CPU)


def train_an_epoch():
    images, labels = torch.zeros(4, 3, 4, 4, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    recipe = Recipe(epochs=1, batch_size=2, learning_rate=0.1)
    list(train(network(), images, labels, View(4), recipe, torch.Generator()))


def compare_layers():
    state = {f"{name}.weight": np.ones((2, 2)) for name in ("fc1", "fc2")}
    compare(state, state)


@pytest.mark.parametrize(
    ("step", "title"),
    [(evaluate, "evaluation"), (train_an_epoch, "epoch 1"), (compare_layers, "layers")],
)
def test_what_may_take_long_is_counted(on_terminal, at_once, step, title):
    assert title in on_terminal(step)
