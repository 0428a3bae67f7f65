"""The benchmark of the Student-t KL, run small."""

import json
import runpy
import sys
from pathlib import Path

BENCH = Path(__file__).parents[3] / "bench" / "latent.py"


def test_table_and_ratios(tmp_path, monkeypatch, capsys):
    ratios = tmp_path / "ratios.json"
    arguments = ["--points", "3000", "--pyro-runs", "1", "--repeats", "3", "--json", str(ratios)]
    monkeypatch.setattr(sys, "argv", [str(BENCH), *arguments])
    monkeypatch.syspath_prepend(BENCH.parent)
    runpy.run_path(str(BENCH), run_name="__main__")
    conditions, head, *rows = capsys.readouterr().out.splitlines()
    assert "dimension 100" in conditions
    errors = {row.split("  ")[0]: float(row.split()[-2]) for row in rows[:4]}
    assert head.split()[-3:] == ["error", "std.", "error"]
    assert errors["exact"] < 1e-13
    assert 1e-6 < errors["Pyro, 3,000 points"] < 0.2
    assert set(json.loads(ratios.read_text(encoding="utf-8"))) == {
        "ap3_exact_over_pyro",
        "ap3_exact_over_reduced",
        "ap3_reduced_over_pyro",
    }
