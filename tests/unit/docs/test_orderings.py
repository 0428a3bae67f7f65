"""The command that compares a study with what the paper says of its curves."""

import importlib.util
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[3] / "docs" / "orderings.py"


@pytest.fixture(scope="module")
def orderings():
    spec = importlib.util.spec_from_file_location("orderings", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def study(damage):
    """A study in which AP2 grows with mode and ratio, and accuracy is lost as `damage` says of it."""
    modes = {"lowest": 1, "random": 2, "highest": 3}
    rows = []
    for trial, mode, ratio, epoch in product((1, 2), modes, (0.1, 0.5, 0.8), (0, 1, 2)):
        ap2 = modes[mode] + 10 * ratio
        row = {"dataset": "d", "model": "alexnet", "trial": trial, "mode": mode, "ratio": ratio}
        row |= {"epoch": epoch, "ap2": ap2}
        for split in ("train", "test"):
            row[f"{split}_pd_accuracy_signed"] = damage(ap2)
            row[f"{split}_pd_accuracy"] = abs(damage(ap2))
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("damage", "absolute", "signed"),
    [
        (lambda ap2: ap2 / 100, "1.00", "1.00"),
        (lambda ap2: ap2 / 100 - 1, "0.00", "1.00"),  # all gain, the farthest least
        (lambda ap2: max(ap2, 0.4) / 100, "1.00", "1.00"),  # some alike, the others in order
    ],
)
def test_shares_are_those_of_the_planted_order(orderings, damage, absolute, signed):
    found = list(orderings.rows(study(damage)))
    assert len(found) == 2 * len(orderings.STATEMENTS)
    assert {row[1] for row in found} == {"8 and 9"}
    for *_, first, second in found:
        assert first.startswith(f"{absolute} (")
        assert first.endswith(" equal)")
        assert "n = 2; " in first
        assert second.startswith(f"{signed} (")


def test_equal_pds_order_nothing(orderings):
    for *_, first, second in orderings.rows(study(lambda ap2: 0.5)):
        assert first == second == ""


def test_epochs_before_fine_tuning_and_the_control_are_left_out(orderings):
    table = study(lambda ap2: ap2 / 100)
    before = table.assign(epoch=0, train_pd_accuracy=-table["ap2"])
    control = table[table["mode"] == "lowest"].assign(mode="control")
    assert list(orderings.rows(pd.concat([table, before, control]))) == list(orderings.rows(table))
