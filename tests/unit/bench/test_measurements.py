"""The tools that measure: turns, warming up and ratios; and the smallest of runs."""

import json
import runpy
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench"
sys.path.insert(0, str(BENCH))

import measuring  # noqa: E402


def test_ways_take_turns_and_warming_up_does_not_count():
    calls = []
    ways = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    times = measuring.in_turns(ways, rounds=3, warm_up=2)
    assert calls == ["a", "b"] * 5
    assert [len(taken) for taken in times.values()] == [3, 3]


def test_a_ratio_is_taken_within_each_round():
    """A slow machine slows both: rounds of 1:2, 10:20 and 100:300 are 2, 2 and 3 times as fast."""
    ratio = measuring.Ratio.of([1.0, 10.0, 100.0], [2.0, 20.0, 300.0])
    assert (ratio.n, ratio.median, ratio.low, ratio.high) == (3, 2.0, 2.0, 3.0)
    assert measuring.Ratio.of([1.0], [2.0], scale=240).median == 480


def test_a_table_says_how_many_rounds_and_their_spread():
    text = measuring.table("title", {"one": [1.0, 2.0, 4.0]}, 8, "images/s")
    assert text.splitlines()[1].split() == ["one", "3", "4", "2", "8"]


def run(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(BENCH / f"{name}.py"), run_name="__main__")


def test_fine_tuning_is_measured(tmp_path, monkeypatch, capsys):
    out = tmp_path / "ratios.json"
    small = ["--model", "small_resnet", "--size", "16", "--examples", "60", "--rounds", "1"]
    run(monkeypatch, "finetuning", *small, "--threads", "1", "--json", str(out))
    ratios = json.loads(out.read_text(encoding="utf-8"))
    assert set(ratios) == {
        "finetune_fresh_over_recipe",
        "finetune_fixed_over_recipe",
        "finetune_all_over_train",
    }
    assert all(value > 0 for value in ratios.values())
    printed = capsys.readouterr().out
    assert "12, epochs 20" in printed
    assert "recipe" in printed


@pytest.mark.slow
def test_accuracy_is_compared_with_the_recipe(tmp_path, monkeypatch, capsys):
    import small_networks

    digits = [part[:200] for part in small_networks.digits()]
    monkeypatch.setattr(small_networks, "digits", lambda: digits)
    out = tmp_path / "ratios.json"
    small = ["--models", "small_vgg", "--epochs", "1", "--trials", "2", "--threads", "1"]
    run(monkeypatch, "accuracy", *small, "--json", str(out))
    ratio = json.loads(out.read_text(encoding="utf-8"))["accuracy_over_recipe_demo"]
    assert 0.1 < ratio < 10
    line = next(line for line in capsys.readouterr().out.splitlines() if "small_vgg" in line)
    assert line.split()[:3] == ["small_vgg", "2", "1"]


@pytest.mark.slow
def test_memory_is_measured_as_views_grow(tmp_path, monkeypatch, capsys):
    import growth

    monkeypatch.setattr(growth, "EXAMPLES", 600)
    monkeypatch.setattr(growth, "VIEWS", (1, 2))
    ratios = growth.memory(tmp_path)
    assert all(0.5 < value < 2 for value in ratios.values())
    *_, one, two = (line.split() for line in capsys.readouterr().out.splitlines())
    assert [one[:2], two[:2]] == [["1", "views"], ["2", "views"]]
    assert float(two[3]) == pytest.approx(2 * float(one[3]), abs=1)


@pytest.mark.slow
def test_ways_to_allocate_are_compared(tmp_path, monkeypatch, capsys):
    import allocation

    monkeypatch.setattr(allocation, "TRAININGS", {"small_resnet": (1, 0.05)})
    monkeypatch.setattr(allocation, "PRUNED", (0.5,))
    out = tmp_path / "league.json"
    monkeypatch.setattr(
        sys, "argv", ["allocation", "--networks", "small_resnet", "--json", str(out)]
    )
    allocation.main()
    league = json.loads(out.read_text(encoding="utf-8"))
    assert max(league[f"{way}, best"] for way in allocation.WAYS) == 1
    assert "chosen, within a point of the best" in league
    assert "by_kl, best" in league
    assert "small_resnet" in capsys.readouterr().out
