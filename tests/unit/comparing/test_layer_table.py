"""Any two checkpoints compared: the same numbers as the laws', whatever the file looks like."""

import json
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

import ap3
from ap3.cli import process
from ap3.comparing import layer_rows, printing
from ap3.comparing.comparison import Comparison
from ap3.comparing.layer_table import compare
from ap3.errors import UserError
from ap3.files.state_dicts import read
from ap3.latent import IsotropicGaussian, StudentT, auto_student_t_scale, auto_variance
from ap3.metrics import ap2, relative_frobenius

LAWS = ["ap3_gaussian", "ap3_nondiagonal", "ap3_student_t"]
SLOW_LAW = [layer_rows.NONDIAGONAL]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 40), nn.Linear(40, 5)
    )


def magnitude_pruned(model):
    for module in model:
        if isinstance(module, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(module, "weight", 0.5)
    return model


BASELINE = network().state_dict()
PRUNED = magnitude_pruned(network()).state_dict()
FOLDED = {
    name: PRUNED[f"{name}_orig"] * PRUNED[f"{name}_mask"] if f"{name}_orig" in PRUNED else value
    for name, value in BASELINE.items()
}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `ap3 compare` and return its exit status, output and error."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["ap3", "compare", *map(str, arguments)])
        return (process.run(), *capsys.readouterr())

    return command


@pytest.mark.parametrize("block", [32, 1000, 2**22])
def test_the_numbers_of_the_laws(block, monkeypatch):
    monkeypatch.setattr(layer_rows, "BLOCK", block)
    table = compare(BASELINE, PRUNED, laws=SLOW_LAW).set_index("layer")
    assert list(table.index) == ["0", "3", "4"]
    for layer, row in table.iterrows():
        one, two = BASELINE[f"{layer}.weight"], FOLDED[f"{layer}.weight"]
        assert row["weights"] == one.numel()
        assert row["sparsity"] == (two == 0).double().mean() == 0.5
        assert row["ap2"] == pytest.approx(ap2(one, two), rel=1e-12)
        assert row["relative_distance"] == pytest.approx(relative_frobenius(one, two))
        gaussian = IsotropicGaussian(one, auto_variance(one))
        assert row["ap3_gaussian"] == pytest.approx(gaussian.kl(gaussian.at(two)), rel=1e-12)
        student = StudentT(one, 4, auto_student_t_scale(one, 4, 100), 100)
        assert row["ap3_student_t"] == pytest.approx(student.kl(student.at(two)), rel=1e-9)
        # A random rotation of n weights spreads the non-diagonal law around the isotropic one.
        spread = 8 * np.sqrt(2 / one.numel())
        assert row["ap3_nondiagonal"] == pytest.approx(row["ap3_gaussian"], rel=spread)


@pytest.mark.parametrize(("df", "groups"), [(6.0, None), (3.0, 7)])
def test_settings_of_the_student_t(df, groups):
    one, two = BASELINE["3.weight"], FOLDED["3.weight"]
    law = StudentT(one, df, auto_student_t_scale(one, df, groups), groups)
    (row,) = compare(BASELINE, PRUNED, ["3"], df, groups).itertuples()
    assert row.ap3_student_t == pytest.approx(law.kl(law.at(two)), rel=1e-9)


def test_pruning_everything_is_1_9_and_nothing_is_0():
    empty = {name: torch.zeros_like(value) for name, value in BASELINE.items()}
    everything = compare(BASELINE, empty, laws=SLOW_LAW)
    np.testing.assert_allclose(everything[["ap3_gaussian", "ap3_nondiagonal"]], 1.9)
    assert (everything["relative_distance"] == 1).all()
    nothing = compare(BASELINE, BASELINE, laws=SLOW_LAW)
    assert (nothing[["sparsity", "ap2", "relative_distance", *LAWS]] == 0).all(axis=None)


def test_a_baseline_of_zeros_and_a_layer_too_large_to_rotate(monkeypatch):
    zeros = {"fc.weight": np.zeros((2, 2))}
    (row,) = compare(zeros, {"fc.weight": np.ones((2, 2))}).itertuples()
    assert row.ap2 == 4
    assert np.isnan([row.relative_distance, row.ap3_gaussian, row.ap3_student_t]).all()
    monkeypatch.setattr(layer_rows, "LARGEST_ROTATED", 210)
    assert "ap3_nondiagonal" not in compare(BASELINE, PRUNED)
    table = compare(BASELINE, PRUNED, laws=SLOW_LAW)
    assert table["weights"].tolist() == [216, 320, 200]
    assert table["ap3_nondiagonal"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_floating_type(dtype, tmp_path):
    one = {name: value.to(dtype) for name, value in BASELINE.items()}
    two = {name: value.to(dtype) for name, value in FOLDED.items()}
    save_file(one, tmp_path / "one.safetensors")
    torch.save(two, tmp_path / "two.pt")
    table = compare(read(tmp_path / "one.safetensors"), read(tmp_path / "two.pt"))
    for row in table.itertuples():
        exact = ap2(one[f"{row.layer}.weight"].double(), two[f"{row.layer}.weight"].double())
        assert row.ap2 == pytest.approx(exact, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_sparse_tensors(layout, tmp_path):
    sparse = {name: FOLDED[name].to_sparse(layout=layout) for name in ("3.weight", "4.weight")}
    torch.save(sparse, tmp_path / "two.pt")
    table = compare(BASELINE, read(tmp_path / "two.pt"), ["3", "4"])
    pd.testing.assert_frame_equal(table, compare(BASELINE, FOLDED, ["3", "4"]))


def test_views_and_empty_tensors():
    whole = torch.randn(3, 4, dtype=torch.complex64)
    one, two = {"fc.weight": whole.conj().imag}, {"fc.weight": -whole.imag.T.contiguous().T}
    assert one["fc.weight"].is_neg()
    empty = {"none.weight": torch.ones(0, 3)}
    table = compare(one | empty, two | empty)
    assert table["layer"].tolist() == ["fc"]
    assert table["ap2"].tolist() == [0.0]


def test_attention_embeddings_and_recurrent_layers_are_layers():
    model = nn.ModuleDict(
        {
            "embed": nn.Embedding(4, 6),
            "attend": nn.MultiheadAttention(6, 2),
            "norm": nn.LayerNorm(6),
            "rnn": nn.LSTM(6, 3),
        }
    )
    table = compare(model.state_dict(), model.state_dict())
    assert table["layer"].tolist() == [
        "embed",
        "attend.in_proj_weight",
        "attend.out_proj",
        "rnn.weight_ih_l0",
        "rnn.weight_hh_l0",
    ]


def save_plain(state, path):
    torch.save(state, path)


def save_wrapped(state, path):
    torch.save({"epoch": 3, "state_dict": state}, path)


def save_parallel(state, path):
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, path)


def save_compiled(state, path):
    torch.save({f"_orig_mod.{name}": value for name, value in state.items()}, path)


def save_legacy(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def save_safely(state, path):
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def save_beside_others(state, path):
    """As a loop does that keeps the optimizer, a matrix of its own, and a wrapping of the network."""
    wrapped = {f"_orig_mod.module.{name}": value for name, value in state.items()}
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2, 2))]).state_dict()
    content = {"model": {"ema": {"n_averaged": torch.tensor(3), **wrapped}}}
    torch.save(content | {"optimizer": optimizer, "confusion": torch.ones(5, 5)}, path)


def save_with_the_usual_name_first(state, path):
    torch.save({"teacher": network(seed=3).state_dict(), "state_dict": state}, path)


SAVERS = [
    save_plain,
    save_beside_others,
    save_with_the_usual_name_first,
    save_wrapped,
    save_parallel,
    save_compiled,
    save_legacy,
    save_safely,
]


@pytest.mark.parametrize("save", SAVERS)
def test_every_way_of_saving(save, tmp_path, run):
    one, two = tmp_path / "one.ckpt", tmp_path / "two.ckpt"
    save(BASELINE, one)
    save(PRUNED, two)
    status, out, _ = run(one, two, "--json")
    assert status == 0
    expected = compare(BASELINE, FOLDED)
    pd.testing.assert_frame_equal(
        pd.DataFrame(json.loads(out)).sort_values("layer", ignore_index=True),
        expected.sort_values("layer", ignore_index=True),
    )


@pytest.fixture
def files(tmp_path):
    save_safely(BASELINE, tmp_path / "one.safetensors")
    torch.save(PRUNED, tmp_path / "two.pt")
    return tmp_path / "one.safetensors", tmp_path / "two.pt"


def test_outputs(files, run):
    rows = json.loads(run(*files, "--json")[1])
    assert {"layer", "sparsity", "ap2"} < rows[0].keys()
    status, out, _ = run(*files, "--csv")
    assert status == 0
    assert len(out.splitlines()) == 4
    assert out.startswith("layer,weights,sparsity,ap2,")
    plain = run(*files)[1].splitlines()
    assert plain[0].startswith("pruned: unstructured in 3 of 3 layers, 50 %")
    assert plain[1].split()[:3] == ["layer", "weights", "sparsity"]
    assert plain[5].split()[:3] == ["total", "736", "0.5"]
    assert len(plain) == 6
    (chosen,) = json.loads(run(*files, "--json", "--layer", "4")[1])
    assert chosen["layer"] == "4"
    assert run(*files, "--json", "--csv")[0] == 2


def test_missing_values_are_null_and_a_dash(capsys):
    table = Comparison.of([{"layer": "fc", "weights": 1200, "ap2": np.nan}])
    assert json.loads(printing.as_json(table)) == [{"layer": "fc", "weights": 1200, "ap2": None}]
    printing.show(table)
    assert capsys.readouterr().out.split()[-3:] == ["fc", "1,200", "–"]


class Malicious:
    """Pickled, it would write a file on loading."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(value)])
def test_no_pickled_code_runs(save, tmp_path, run, files):
    victim, evil = tmp_path / "victim", tmp_path / "evil.pt"
    bomb = {"fc.weight": torch.ones(2, 2), "bomb": Malicious(victim)}
    save(bomb if save is torch.save else pickle.dumps(bomb["bomb"]), evil)
    status, _, error = run(files[0], evil)
    assert status == 2
    assert error.startswith("ap3: ")
    assert len(error.splitlines()) == 1
    assert not victim.exists()


def refused(run, files, change, *options):
    """Save a changed pruned network and return the sentence that refuses it."""
    torch.save(change(dict(FOLDED)), files[1])
    status, out, error = run(*files, *options)
    assert status == 2
    assert not out
    assert error.count("\n") == 1
    return error


def without_last(state):
    return {name: value for name, value in state.items() if not name.startswith("4.")}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda s: s | {"4.weight": torch.full((5, 40), torch.nan)},
            "layer 4 of the pruned network must be finite, but 200 of its 200 weights",
        ),
        (lambda s: s | {"3.weight": s["3.weight"] / 0}, "layer 3 of the pruned network must be"),
        (
            lambda s: s | {"4.weight": torch.full((5, 40), 1e200, dtype=torch.float64)},
            "squares of layer 4's weights are beyond",
        ),
        (
            lambda s: (
                without_last(s)
                | {"4.weight_orig": torch.ones(5, 40), "4.weight_mask": torch.ones(40, 1)}
            ),
            "4.weight is kept as weights of shape (5, 40) and a mask of shape (40, 1)",
        ),
        (
            lambda s: without_last(s) | {"4.weight_orig": torch.ones(5, 40)},
            "layer 4 is parametrized",
        ),
        (
            lambda s: (
                without_last(s)
                | parametrizations.weight_norm(nn.Linear(40, 5)).state_dict(prefix="4.")
            ),
            "layer 4 is parametrized",
        ),
        (
            lambda s: (
                without_last(s) | {"4.weight_g": torch.ones(5, 1), "4.weight_v": torch.ones(5, 40)}
            ),
            "layer 4 is parametrized",
        ),
        (
            lambda s: s | {"4.weight": torch.ones(5, 40, device="meta")},
            "layer 4 of the pruned network is a meta tensor",
        ),
        (lambda s: {"one": s, "two": {"three": dict(s)}}, "several state dicts (one, two.three)"),
        (lambda s: s | {"4.weight": torch.ones(5, 40, dtype=torch.int8)}, "holds int8"),
        (lambda s: s | {"4.weight": torch.ones(5, 40, dtype=torch.complex64)}, "holds complex64"),
        (lambda _: {"epoch": 3}, "holds no state dict"),
        (lambda _: torch.ones(3), "holds no state dict"),
        (lambda _: {"a.bias": torch.ones(3)}, "have no layer in common"),
        (lambda _: network(), "pickled Python objects"),
    ],
)
def test_what_is_refused_in_one_sentence(change, sentence, run, files):
    assert sentence in refused(run, files, change)


def test_a_choice_of_layers_needs_only_those_to_match(run, files):
    torch.save(without_last(FOLDED), files[1])
    assert run(*files, "--layer", "0", "--layer", "3")[0] == 0


def test_parametrized_layers_that_are_not_chosen_do_no_harm(run, files):
    last = parametrizations.weight_norm(nn.Linear(40, 5)).state_dict(prefix="4.")
    torch.save(without_last(FOLDED) | last, files[1])
    assert run(*files, "--layer", "3")[0] == 0


def test_names_of_layers(run, files):
    for wrong in (["fc"], ["0", "5"], ["0.bias"]):
        with pytest.raises(UserError, match=rf"no layer is called {wrong[-1]}\. The layers are 0"):
            compare(BASELINE, PRUNED, wrong)
    for right in ("3", ["3.weight"], ["[3]"]):
        assert compare(BASELINE, PRUNED, right)["layer"].tolist() == ["3"]
    assert len(compare(BASELINE, PRUNED, [])) == 3
    assert "The layers are 0, 3, 4" in run(*files, "--layer", "fc")[2]
    with pytest.raises(UserError, match=r"did you mean 'encoder\.fc'"):
        compare(
            {"encoder.fc.weight": np.ones((2, 2))},
            {"encoder.fc.weight": np.ones((2, 2))},
            ["encodr.fc"],
        )
    with pytest.raises(UserError, match="hold no weights"):
        compare({"a.bias": np.ones(3)}, {"a.bias": np.ones(3)})


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x08\0\0\0\0\0\0\0{broken}", b"PK\x03\x04", b"\x80\x02."]
)
def test_files_that_are_no_checkpoints(content, run, files):
    files[1].write_bytes(content)
    status, _, error = run(*files)
    assert status == 2
    assert error.count("\n") == 1
    assert "no checkpoint" in error or "damaged safetensors" in error


def test_a_missing_file(run, files, tmp_path):
    status, _, error = run(files[0], tmp_path / "nowhere.pt")
    assert status == 2
    assert "cannot be read" in error


def test_memory_stays_at_blocks(monkeypatch):
    monkeypatch.setattr(layer_rows, "BLOCK", 2**14)
    one, two = ({"fc.weight": np.ones((1000, 1000), np.float32)} for _ in range(2))
    tracemalloc.start()
    compare(one, two)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20 < 8_000_000


def test_the_package_stays_light_until_compare_is_asked_for():
    assert ap3.compare is compare
    heavy = "{'torch', 'pandas', 'numpy'} & set(sys.modules)"
    code = f"import sys, ap3; print({heavy}, callable(ap3.compare))"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert shown.stdout.split() == ["set()", "True"]
    with pytest.raises(AttributeError, match="no attribute 'compair'"):
        _ = ap3.compair


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_inputs_are_those_that_the_layer_kept_and_not_those_of_another(noise):
    """The other layer lost as many channels, but for a few others."""
    torch.manual_seed(0)
    inputs = torch.arange(64)[torch.arange(64) % 4 != 0]
    others = inputs.clone()
    others[5:10] = torch.tensor([4, 8, 12, 16, 20])
    before = {"other.weight": torch.randn(64, 32), "net.weight": torch.randn(64, 64)}
    rows, others = torch.randperm(64).lt(40).nonzero()[:, 0], others.unique()
    left = before["net.weight"][rows][:, inputs] + noise * torch.randn(40, 48)
    table = compare(before, {"other.weight": before["other.weight"][others], "net.weight": left})
    whole = torch.zeros(64, 64)
    whole[rows[:, None], inputs] = left
    apart = float((before["net.weight"] - whole).double().square().sum())
    row = table.set_index("layer").loc["net"]
    assert row["ap2"] == pytest.approx(apart, rel=1e-6)
    assert row["fine_tuned"] == (noise > 0)


def test_groups_that_kept_inputs_of_their_own_are_not_recognised():
    """As in grouped convolutions: no one set of columns is right for all rows."""
    torch.manual_seed(0)
    first, second = torch.arange(32)[::2], torch.arange(32)[1::2]
    first[:12] = second[:12] = torch.arange(12)
    before = {"a.weight": torch.randn(32, 8), "b.weight": torch.randn(40, 32)}
    halves = [before["b.weight"][:15][:, first], before["b.weight"][20:35][:, second]]
    after = {"a.weight": before["a.weight"][first], "b.weight": torch.cat(halves)}
    table = compare(before, after)
    assert table["layer"].tolist() == ["a"]
    assert any("not recognised" in remark for remark in table.remarks)


@pytest.mark.parametrize(
    "others",
    [
        {"onnx::MatMul_23": torch.randn(6, 4)},
        {"fc.W_q": torch.ones(8, dtype=torch.uint8), "fc.meta": torch.ones(1)},
    ],
)
def test_a_layer_that_may_be_there_by_another_name_is_in_the_verdict(others):
    conv, fc = torch.randn(4, 4), torch.randn(4, 6)
    table = compare({"conv.weight": conv, "fc.weight": fc}, {"conv.weight": conv, **others})
    assert table.verdict.startswith("pruned: dropped in 1 of 2 layers")
    assert "renamed or packed, these numbers are wrong" in table.verdict
    alone = compare({"conv.weight": conv, "fc.weight": fc}, {"conv.weight": conv})
    assert "But" not in alone.verdict


def test_a_vocabulary_that_grew_does_not_turn_the_arguments_round():
    before = {"embed.weight": torch.randn(10, 4), "fc.weight": torch.randn(8, 4)}
    after = {"embed.weight": torch.randn(16, 4), "fc.weight": before["fc.weight"].clone()}
    after["fc.weight"][::2] = 0
    assert compare(before, after).verdict.startswith("pruned: rows zeroed in 1 of 1 layers")


def test_layers_that_were_numbered_anew_are_in_the_verdict():
    torch.manual_seed(0)
    before = {f"layers.{number}.weight": torch.randn(8, 8) for number in range(6)}
    left = [before[f"layers.{number}.weight"] for number in (0, 1, 4, 5)]
    after = {f"layers.{number}.weight": tensor for number, tensor in enumerate(left)}
    assert "(layers.2 is the baseline's layers.4" in compare(before, after).verdict


def test_biases_and_masks_of_attention_are_no_layers():
    """Some files of GPT-2 hold its causal mask, as `attn.bias`, and others do not."""
    before = {"h.attn.weight": torch.randn(8, 8), "experts.bias": torch.randn(4, 8)}
    before |= {"h.attn.bias": torch.ones(1, 1, 9, 9), "h.attn_mask": torch.full((9, 9), -torch.inf)}
    after = {"h.attn.weight": before["h.attn.weight"].clone()}
    after["h.attn.weight"][:4] = 0
    table = compare(before, after)
    assert table["layer"].tolist() == ["h.attn"]
    assert table.totals["sparsity"].tolist() == [0.5]


def test_weights_of_any_name_that_are_made_of_others_are_refused():
    lstm = nn.LSTM(4, 4)
    before = {name: tensor.clone() for name, tensor in lstm.state_dict().items()}
    parametrizations.weight_norm(lstm, "weight_hh_l0")
    with pytest.raises(UserError, match="layer weight_hh_l0 is parametrized"):
        compare(before, lstm.state_dict())
    old = {"weight_hh_l0_g": torch.ones(16, 1), "weight_hh_l0_v": torch.randn(16, 4)}
    with pytest.raises(UserError, match="layer weight_hh_l0 is parametrized"):
        compare(old, old)


def test_a_vocabulary_that_was_trimmed_takes_little_memory():
    """Distances between all pairs of its rows would take 3 GB."""
    torch.manual_seed(0)
    words = torch.randn(20_000, 8)
    left = torch.randperm(20_000)[:19_000].sort()[0]
    tracemalloc.start()
    table = compare({"embed.weight": words}, {"embed.weight": words[left]})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    gone = torch.ones(20_000, dtype=torch.bool).index_fill(0, left, False)
    assert table["ap2"][0] == pytest.approx(float(words[gone].double().square().sum()), rel=1e-6)
    assert most < 100e6
