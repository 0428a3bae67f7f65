"""What a comparison shows: sentences, columns that fit, totals, one version or several."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import ap3
from ap3.cli import process
from ap3.comparing.comparison import Comparison
from ap3.comparing.layer_table import compare
from ap3.comparing.page import page
from ap3.comparing.terminal_table import lines
from ap3.config.variants import CONTROL, Variant
from ap3.errors import UserError
from ap3.figures.layer_bars import layer_bars
from ap3.files import storage
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import Origin, PrunedLayer, PrunedNetwork, save

LONG = "model.layers.31.self_attn.q_proj"


def network(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {f"{LONG}.weight": (16, 8), "conv.weight": (4, 3, 3, 3), "fc.weight": (10, 16)}
    return {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}


def halved(state):
    return {n: np.where(np.abs(v) > np.median(np.abs(v)), v, 0) for n, v in state.items()}


ONE = network()
HALVED = halved(ONE)
ROWS = HALVED | {f"{LONG}.weight": ONE[f"{LONG}.weight"] * (np.arange(16) % 5 > 0)[:, None]}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run `ap3 compare` in a folder with three checkpoints."""
    for name, state in {"one": ONE, "two": HALVED, "three": ROWS}.items():
        torch.save({n: torch.as_tensor(v) for n, v in state.items()}, tmp_path / f"{name}.pt")
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["ap3", "compare", *map(str, arguments)])
        return (process.run(), *capsys.readouterr())

    return command


def test_totals_are_sums_over_the_layers():
    table = compare(ONE, HALVED, laws=["nondiagonal"])
    (total,) = table.totals.to_dict("records")
    assert total["weights"] == sum(v.size for v in ONE.values())
    for column in ("ap2", "ap3_gaussian", "ap3_student_t", "ap3_nondiagonal"):
        assert total[column] == pytest.approx(table[column].sum(), rel=1e-12)
    flat = [np.concatenate([v.ravel() for v in s.values()]).astype(float) for s in (ONE, HALVED)]
    distance = np.linalg.norm(flat[0] - flat[1])
    assert total["ap2"] == pytest.approx(distance**2)
    assert total["relative_distance"] == pytest.approx(distance / np.linalg.norm(flat[0]))
    assert total["sparsity"] == (flat[1] == 0).mean()


def test_the_total_of_a_layer_of_zeros():
    zeros = {"dead.weight": np.zeros((2, 2)), "fc.weight": np.ones((2, 2))}
    half = zeros | {"fc.weight": np.array([[1.0, 0], [0, 1]])}
    assert compare(zeros, half).totals["ap3_gaussian"].item() == pytest.approx(0.95)
    moved = compare(zeros, half | {"dead.weight": np.ones((2, 2))}).totals
    assert np.isnan(moved["ap3_gaussian"].item())
    assert moved["ap2"].item() == 6


def test_printed_it_shows_sparsity_and_ap2_within_80_columns():
    for text in (str(compare(ONE, HALVED)), repr(compare(ONE, [HALVED, ROWS]))):
        assert {"sparsity", "ap2", "ap3_gaussian", "kind", "total"} <= set(text.split())
        assert max(map(len, text.splitlines())) <= 80


def test_a_long_network_is_printed_with_its_middle_left_out():
    many = {f"layers.{i}.weight": np.full((2, 2), 1.0 + i) for i in range(100)}
    text = str(compare(many, many))
    assert len(text.splitlines()) < 70
    assert "layers.0 " in text
    assert "total" in text


def test_what_is_selected_is_a_plain_table():
    table = compare(ONE, HALVED)
    assert type(table[["layer", "ap2"]]) is pd.DataFrame
    assert table.set_index("layer").loc["fc", "sparsity"] == 0.5


def test_several_versions_in_one_table():
    table = compare(ONE, [HALVED, ROWS])
    assert table["version"].tolist() == ["version 1"] * 3 + ["version 2"] * 3
    assert list(table.columns)[:2] == ["version", "layer"]
    for version, state in {"version 1": HALVED, "version 2": ROWS}.items():
        part = table[table["version"] == version].drop(columns="version")
        pd.testing.assert_frame_equal(
            part.reset_index(drop=True), pd.DataFrame(compare(ONE, state))
        )
        assert table.verdicts[version] == compare(ONE, state).verdict
    assert table.totals["version"].tolist() == ["version 1", "version 2"]
    near, far = sorted(table.totals.itertuples(), key=lambda total: total.ap3_gaussian)
    assert f"{near.version} is nearest" in table.verdict
    assert f"{far.version} is farthest" in table.verdict


def test_one_version_in_a_list_keeps_its_verdict():
    table = compare(ONE, [HALVED])
    assert table.verdict == compare(ONE, HALVED).verdict
    assert table["version"].tolist() == ["version 1"] * 3
    with pytest.raises(UserError, match="no pruned network is given"):
        compare(ONE, [])


def test_a_remark_on_all_versions_stands_once():
    two, three = ({f"module.{n}": v for n, v in s.items()} for s in (HALVED, ROWS))
    extra = {"extra.weight": np.ones((2, 2))}
    table = compare(ONE, [two | {f"module.{n}": v for n, v in extra.items()}, three])
    assert sum("extra" in remark for remark in table.remarks) == 1
    assert table.remarks[0].startswith("version 1: only the pruned network has extra")


def test_versions_on_the_command_line(run):
    status, out, _ = run("one.pt", "two.pt", "three.pt", "--json")
    rows = json.loads(out)
    assert status == 0
    assert [row["version"] for row in rows] == ["two.pt"] * 3 + ["three.pt"] * 3
    status, out, error = run("one.pt", "two.pt", "three.pt", "--sort", "ap2", "--top", "2")
    lines = out.splitlines()
    assert lines[0].startswith("of 2 pruned versions ")
    assert lines[1].startswith("two.pt: pruned: unstructured")
    assert [line.split()[1] for line in lines[-2:]] == ["total", "total"]
    assert len(lines) == 8
    assert error == "2 of 6 rows are shown; totals are of all.\n"


def test_sort_and_top(run):
    rows = json.loads(run("one.pt", "three.pt", "--json", "--sort", "ap2")[1])
    assert [row["ap2"] for row in rows] == sorted((row["ap2"] for row in rows), reverse=True)
    names = json.loads(run("one.pt", "three.pt", "--json", "--sort", "layer")[1])
    assert [row["layer"] for row in names] == ["conv", "fc", LONG]
    (most,) = json.loads(run("one.pt", "three.pt", "--json", "--top", "1")[1])
    assert most["ap3_gaussian"] == max(row["ap3_gaussian"] for row in rows)
    status, _, error = run("one.pt", "two.pt", "--sort", "apt2")
    assert status == 2
    assert "no column is called apt2; did you mean 'ap2'" in error
    assert run("one.pt", "two.pt", "--top", "0")[0] == 2


def test_files_of_one_name_in_two_folders(run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / "two.pt").rename(tmp_path / name / "two.pt")
        (tmp_path / "three.pt").rename(tmp_path / "two.pt")
        (tmp_path / "three.pt").write_bytes((tmp_path / "two.pt").read_bytes())
    rows = json.loads(run("one.pt", "a/two.pt", "b/two.pt", "--json")[1])
    assert {row["version"] for row in rows} == {"a/two.pt", "b/two.pt"}


@pytest.mark.parametrize("width", [40, 80, 120, 240])
@pytest.mark.parametrize("is_unicode", [True, False])
def test_on_a_terminal_every_number_is_shown_within_its_width(width, is_unicode):
    for table in (compare(ONE, ROWS, laws=["nondiagonal"]), compare(ONE, [HALVED, ROWS])):
        shown = [line.plain for line in lines(table, width, is_unicode)]
        assert max(map(len, shown)) <= max(width, 60)
        text = " ".join(shown)
        for column in ("ap2", "relative_distance", "ap3_gaussian", "ap3_student_t"):
            for value in [*table[column], *table.totals[column]]:
                assert f"{value:.4g}" in text
        assert "rows zeroed: 4 of 16: 0 5 10 15" in " ".join(text.split())
        assert text.isascii() != is_unicode


def test_bars_are_as_long_as_the_ap3():
    one = {n: np.ones((4, 5)) for n in ("a.weight", "b.weight", "c.weight")}
    two = {
        "a.weight": one["a.weight"] * 0,
        "b.weight": one["b.weight"].copy(),
        "c.weight": one["c.weight"],
    }
    two["b.weight"][0, :5] = 0
    bars = [line.plain.count("#") for line in lines(compare(one, two), 200, False)]
    assert sorted(bars) == [0, 0, 0, 0, 3, 10]


def test_a_terminal_gets_bars_and_no_markup(run, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    out = run("one.pt", "two.pt")[1]
    assert "total" in out
    assert "unstructured" in out
    named = {"[red]fc[/red].weight": np.ones((2, 2))}
    assert "[red]fc[/red]" in lines(compare(named, named), 80)[2].plain


def test_the_page_is_one_file_without_code_of_names(run, tmp_path):
    evil = {"<script>alert(1)</script>.weight": np.ones((2, 2))}
    text = page(compare(evil, evil)._repr_html_(), "<b>")
    assert "<script>alert" not in text
    assert "<title>&lt;b&gt;" in text
    assert run("one.pt", "two.pt", "three.pt", "--html", "a.html", "--png", "a.png")[0] == 0
    written = (tmp_path / "a.html").read_text("utf-8")
    assert LONG in written
    assert "http://" not in written.replace("http-equiv", "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "of 2 pruned versions" in written


def test_a_page_of_a_thousand_layers_is_small():
    rows = compare(ONE, HALVED).to_dict("records")
    many = Comparison.of([row | {"layer": f"{LONG}.{i}"} for i in range(334) for row in rows])
    assert len(page(many._repr_html_(), "many").encode()) < 2e6


def test_the_figure_keeps_to_the_layers_that_changed_most():
    one = {f"layer{i}.weight": np.full((2, 2), 1.0) for i in range(60)}
    two = {n: v * (1 - i / 100) for i, (n, v) in enumerate(one.items())}
    figure = layer_bars(compare(one, two), "title")
    left = figure.axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == [
        f"layer{i}" for i in range(20, 60)
    ]
    assert "40 layers of 60" in figure.get_suptitle()
    assert len(layer_bars(compare(ONE, [HALVED, ROWS])).legends) == 1


ORIGIN = Origin("digits", "small_vgg", 1, 0)


def study_files(folder, epochs=0):
    """Write a baseline as a study has it, and two variants of its last layer."""
    rng = np.random.default_rng(0)
    arrays = {
        "conv.weight": rng.standard_normal((4, 1, 3, 3)).astype("f4"),
        "head.weight": rng.standard_normal((5, 8)).astype("f4"),
        "head.bias": np.zeros(5, "f4"),
    }
    identity = vars(ORIGIN) | {"head": "head"}
    storage.save(folder / "baseline.safetensors", arrays, identity=identity)
    layer = PrunedLayer.whole(arrays["head.weight"], arrays["head.bias"])
    whole = PrunedNetwork(ORIGIN, Variant(CONTROL, 0.0), {"head": layer})
    networks = [prune_network(whole, Variant("lowest", 0.5)), whole]
    if epochs:
        networks = [
            PrunedNetwork(n.origin, n.variant, {"head": after(n.layers["head"], epochs)})
            for n in networks
        ]
    save(folder / "pruned.safetensors", networks)
    return arrays


def after(layer, epochs):
    grown = np.stack([layer.weight * (1 + epoch) for epoch in range(epochs + 1)])
    return PrunedLayer(layer.mask, grown, np.stack([layer.shift] * (epochs + 1)))


def test_files_of_a_study_are_known(tmp_path):
    arrays = study_files(tmp_path)
    table = ap3.compare(tmp_path / "baseline.safetensors", str(tmp_path / "pruned.safetensors"))
    assert table["version"].tolist() == ["lowest-0.5", "control"]
    assert table["layer"].tolist() == ["head", "head"]
    assert table["kind"].tolist() == ["unstructured", "untouched"]
    smallest = np.sort(np.square(arrays["head.weight"], dtype=float).ravel())[:20]
    assert table["ap2"].tolist() == [pytest.approx(smallest.sum()), 0]


def test_of_fine_tuned_variants_the_last_epoch_is_compared(tmp_path):
    arrays = study_files(tmp_path, epochs=2)
    table = ap3.compare(tmp_path / "baseline.safetensors", tmp_path / "pruned.safetensors")
    assert table.remarks == ["its layers are those of epoch 2, the last."]
    expected = np.square(2 * arrays["head.weight"], dtype=float).sum()
    assert table["ap2"].iloc[1] == pytest.approx(expected)


def test_variants_of_another_baseline_and_as_a_baseline(tmp_path):
    study_files(tmp_path)
    arrays = {"head.weight": np.ones((5, 8), "f4")}
    identity = vars(ORIGIN) | {"head": "head", "trial": 2}
    storage.save(tmp_path / "other.safetensors", arrays, identity=identity)
    with pytest.raises(UserError, match="was pruned from digits small_vgg trial 1"):
        ap3.compare(tmp_path / "other.safetensors", tmp_path / "pruned.safetensors")
    with pytest.raises(UserError, match="holds pruned variants of a network and no baseline"):
        ap3.compare(tmp_path / "pruned.safetensors", tmp_path / "pruned.safetensors")


@pytest.mark.parametrize("wrong", [None, 3, b"one.pt", {1, 2}, object()])
def test_wrong_types(wrong):
    for pair in ((wrong, ONE), (ONE, wrong), (ONE, [ONE, wrong])):
        with pytest.raises(
            TypeError, match=r"must be a module, a state dict or the path"
        ) as caught:
            compare(*pair)
        assert "\n" not in str(caught.value)
    for layers in (3, [3], b"fc", None):
        with pytest.raises(TypeError, match="layers must be names of layers"):
            compare(ONE, ONE, layers)


def test_modules_paths_and_texts(tmp_path):
    torch.manual_seed(0)
    one, two = nn.Linear(4, 3), nn.Linear(4, 3)
    torch.save(two.state_dict(), tmp_path / "two.pt")
    expected = compare(one.state_dict(), two.state_dict())
    for given in (two, tmp_path / "two.pt", str(tmp_path / "two.pt")):
        pd.testing.assert_frame_equal(compare(one, given), expected)


@pytest.mark.parametrize("law", ["studentt", "gaussian"])
def test_a_law_that_is_none_is_refused_by_what_there_is(law):
    with pytest.raises(
        UserError, match=f"'{law}' is no further latent law; give nondiagonal, or a law of"
    ):
        compare(ONE, HALVED, laws=[law])
