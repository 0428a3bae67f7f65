"""What measures a card, with the CPU in its place, and the table that it writes."""

import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench"
sys.path.insert(0, str(BENCH))

import card  # noqa: E402
import card_cells  # noqa: E402
import card_checks  # noqa: E402
import card_table  # noqa: E402

from ap3.models.names import PAPER  # noqa: E402

SMALL = ["--device", "cpu", "--pixels", "16", "--examples", "8", "--batch", "4", "--rounds", "1"]


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Runs it on a tiny network, in two ways; returns its rows by kind, and its table."""
    monkeypatch.setattr(card_checks, "NETWORKS", ("small_vgg",))
    few = {name: card_cells.WAYS[name] for name in ("bfloat16", "float32, channels first")}
    monkeypatch.setattr(card, "WAYS", few)

    def run(budget, *models):
        given = ["--out", str(tmp_path), "--budget", str(budget), "--models", *models, *SMALL]
        monkeypatch.setattr(sys, "argv", ["card.py", *given])
        card.main()
        lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        kinds = {row["kind"]: [one for one in rows if one["kind"] == row["kind"]] for row in rows}
        return kinds, (tmp_path / "card.md").read_text(encoding="utf-8")

    return run


def test_every_cell_is_measured(measure, capsys):
    rows, table = measure(10**6, "small_vgg")
    wanted = ["bfloat16", *card.FIRST, "float32, channels first"]
    assert [row["name"] for row in rows["cell"]] == wanted
    assert all(row["images_per_second"] > 0 and row["n"] == 1 for row in rows["cell"])
    assert all(row["right"] for row in rows["comparison"])
    assert [row["name"] for row in rows["limit"]] == ["bfloat16", "tf32", "float32", "copying"]
    assert "none: a CPU stands in" in table
    assert "| tf32 | not measured |" in table
    assert capsys.readouterr().out.endswith(f"\n\n{table}\n")


@pytest.fixture
def hasty(monkeypatch):
    """Leaves out what comes before the cells."""
    checks = [card_checks.Check("gradient", 0.5, 0.1)]
    monkeypatch.setattr(card, "checks", lambda device: checks)
    monkeypatch.setattr(card_cells, "limits", lambda *given: [])


def test_without_time_nothing_but_the_comparison_is_measured(measure, hasty):
    rows, table = measure(0, "small_vgg")
    assert "cell" not in rows
    assert "| gradient | 0.5 | 0.1 | **wrong** |" in table
    assert "| bfloat16 | not measured |" in table
    assert "Hours of study paper: not measured, for lack of alexnet" in table


def test_a_cell_that_fails_costs_no_other_and_a_run_cut_off_leaves_its_rows(
    measure, hasty, monkeypatch
):
    def cell(name, *given):
        if name == card.BARE:
            raise RuntimeError("CUDA error: unspecified\nlaunch failure")
        if name == card.LAYERS:
            raise KeyboardInterrupt
        return {"images_per_second": 2.0, "slowest": 1.0, "fastest": 3.0, "n": 3, "peak_gib": 0.5}

    monkeypatch.setattr(card_cells, "cell", cell)
    with pytest.raises(KeyboardInterrupt):
        measure(10**6, "small_vgg")
    folder = Path(sys.argv[2])
    table = (folder / "card.md").read_text(encoding="utf-8")
    assert "| bare step | failed: RuntimeError: CUDA error: unspecified |" in table
    assert "| recipe, float32 | 2 (1 to 3, n = 3) |" in table
    assert "| peak memory of ours alone | 0.50 GiB |" in table


def test_a_wrong_card_is_told():
    assert card_checks.Check("gradient", 0.1, 0.2).right
    assert not card_checks.Check("gradient", float("nan"), 0.2).right


def test_the_study_runs_in_a_way_that_is_measured():
    assert card_table.way_of_study() in card_cells.WAYS


def test_hours_are_of_all_stages():
    """At one image a second everywhere, the hours count the images."""
    one = {"images_per_second": 1.0, "slowest": 1.0, "fastest": 1.0, "n": 1}
    names = (card_table.way_of_study(), *card.FIRST)
    rows = [{"kind": "network", "model": model} for model in PAPER]
    rows += [{"kind": "cell", "model": m, "name": name, **one} for m in PAPER for name in names]
    found = dict(
        [line.split(" | ")[0].lstrip("| "), line.strip("| ").split(" | ")[1:]]
        for line in card_table.markdown(rows).splitlines()
        if "hours | " in line
    )
    # Six pairs of 100 epochs on 50,000 images and three of 60 on 100,000; three trials; a tenth held out.
    seen = 3 * (6 * 100 * 50_000 + 3 * 60 * 100_000)
    features = 3 * (6 * 60_000 + 3 * 110_000)
    tuned = 3 * 20 * (6 * 50_000 + 3 * 100_000)
    expected = {
        "baseline, hours": (0.9 * seen, 0.9 * seen),
        "its validation, hours": (0.1 * seen, None),
        "features, hours": (features, None),
        "views, hours": (tuned, None),
        "finetune, hours": (tuned, 13 * tuned),
        "in all, hours": (seen + features + 2 * tuned, 0.9 * seen + 13 * tuned),
    }
    assert found == {
        name: [f"{ours / 3600:.2f}", "none" if theirs is None else f"{theirs / 3600:.1f}"]
        for name, (ours, theirs) in expected.items()
    }


def test_the_limit_is_of_products_and_of_each_steps_weights():
    network = {"flops": 100.0, "parameters": 10, "batch": 4}
    limits = {"bfloat16": 1000.0, "copying": 600.0}
    assert card_table._limit(network, limits, "bfloat16") == pytest.approx(1 / (0.1 + 0.1))
    assert card_table._limit(network, {}, "bfloat16") is None


def test_operations_are_those_of_the_layers():
    """AlexNet's 1.42 GFLOP forwards, and twice that backwards but for the gradient of the images."""
    flops, parameters = card_cells.operations("alexnet", 224)
    assert flops == pytest.approx(4.12e9, rel=0.01)
    assert parameters == 57_413_540


def test_without_a_card_nothing_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["card.py", "--out", str(tmp_path), "--budget", "1"])
    card.main()
    assert capsys.readouterr().out == "no CUDA card: not measured\n"
