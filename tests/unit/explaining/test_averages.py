"""Means over trials, and the intervals of what has a smallest or a largest value."""

import pandas as pd
import pytest

from ap3.explaining.averages import baselines


def test_an_interval_of_a_baseline_ends_where_its_values_do():
    measures = pd.DataFrame(
        {"dataset": "d", "model": "m", "mode": "control", "epoch": 0}, [0, 1, 2]
    )
    losses, accuracies = [0.01, 0.02, 0.2], [0.5, 0.6, 1.0]
    measures = measures.assign(train_loss=losses, train_accuracy=accuracies)
    measures = measures.assign(test_loss=[3.0, 3.1, 3.2], test_accuracy=[0.5, 0.6, 0.7])
    found = baselines(measures).set_index("measure")
    assert found.loc["train_loss", "low"] == 0
    assert found.loc["train_loss", "high"] > 0.2
    assert found.loc["train_accuracy", "high"] == 1
    assert found.loc["test_loss", ["low", "high"]].tolist() == pytest.approx(
        [2.8516, 3.3484], abs=1e-4
    )
    assert found.loc["test_accuracy", ["low", "high"]].tolist() == pytest.approx(
        [0.3516, 0.8484], abs=1e-4
    )
    (one,) = baselines(measures[:1]).query("measure == 'test_accuracy'").itertuples()
    assert pd.isna(one.low)
    assert pd.isna(one.high)
