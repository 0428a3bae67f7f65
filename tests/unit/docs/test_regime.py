"""The table of what fine-tuning did, from measures of which the answer is known."""

import importlib.util
from pathlib import Path

import pandas as pd

SCRIPT = Path(__file__).parents[3] / "docs" / "regime.py"


def test_gains_and_counts():
    spec = importlib.util.spec_from_file_location("regime", SCRIPT)
    regime = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(regime)
    about = {"dataset": "d", "model": "m"}
    rows = []
    for trial, gain in ((1, 0.01), (2, 0.03)):
        for mode, ratio in (("control", 0.0), ("lowest", 0.3), ("highest", 0.3)):
            for epoch in (2, 0):  # in no order
                # The control gains; `lowest` improves and comes nearer; `highest` does neither.
                better = epoch == 2 and mode != "highest"
                signed = -gain if better else 0.2
                rows.append(
                    about
                    | {"trial": trial, "mode": mode, "ratio": ratio, "epoch": epoch}
                    | {"test_pd_accuracy_signed": signed, "test_pd_loss_signed": 0.1}
                    | {"test_pd_loss": 0.1 if better else 0.4, "ap2": 1.0 + epoch}
                )
    told = regime.table({"study": pd.DataFrame(rows)}).splitlines()
    assert told[2] == ("| `study` | m on d | 2 | 2.00 ± 1.41 | 2 of 4 | 0 of 4 | 4 of 4 | 2 of 4 |")
