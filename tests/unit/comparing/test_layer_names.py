"""Which layers belong together: prefixes, ties, what one network lacks; nothing silently."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import ap3
from ap3.cli import process
from ap3.comparing import printing
from ap3.comparing.layer_table import compare
from ap3.errors import UserError

torch.manual_seed(0)
NET = {
    "conv.weight": torch.randn(8, 4, 3, 3),
    "fc.weight": torch.randn(16, 32),
    "fc.bias": torch.ones(16),
}
CUT = {name: value * (value.abs() > 0.5) for name, value in NET.items()}


def under(prefix, state=CUT):
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize("prefix", ["model.", "net.backbone.", "0."])
def test_a_prefix_of_one_side_is_taken_off_and_named(prefix):
    for one, two, whose in (
        (NET, under(prefix), "pruned network"),
        (under(prefix, NET), CUT, "baseline"),
    ):
        table = compare(one, two)
        np.testing.assert_array_equal(table["ap2"], compare(NET, CUT)["ap2"])
        assert table.remarks == [f"the prefix {prefix!r} of the {whose}'s names was taken off."]


def test_a_copy_beside_the_network_under_prefixes():
    table = compare(NET, under("model.") | under("ema_model.", NET))
    np.testing.assert_array_equal(table["ap2"], compare(NET, CUT)["ap2"])
    assert any(
        "only the pruned network has ema_model.conv, ema_model.fc" in r for r in table.remarks
    )
    with pytest.raises(UserError, match=r"2 prefixes \((student.|expert.), (student.|expert.)\)"):
        compare(NET, under("student.") | under("expert.", NET))


def test_what_is_in_one_network_only():
    table = compare(
        NET, {k: v for k, v in CUT.items() if k != "fc.weight"} | {"new.weight": CUT["fc.weight"]}
    )
    rows = table.set_index("layer")
    assert rows.loc["fc", ["sparsity", "kind"]].tolist() == [1, "dropped"]
    assert rows.loc["fc", "ap2"] == pytest.approx(NET["fc.weight"].double().square().sum().item())
    assert rows.loc["fc", "ap3_gaussian"] == pytest.approx(1.9)
    assert "only the pruned network has new, which is not compared." in table.remarks
    assert "only the baseline has fc, which count as pruned whole." in table.remarks
    with pytest.raises(UserError, match="have no layer in common"):
        compare(NET, {"else.weight": torch.ones(2, 2)})


def test_a_layer_of_another_shape_is_named():
    table = compare(NET, CUT | {"fc.weight": torch.randn(16, 33)})
    assert table["layer"].tolist() == ["conv"]
    assert any("fc differ in shape ((16, 32) and (16, 33))" in remark for remark in table.remarks)
    with pytest.raises(UserError, match="no layer can be compared"):
        compare(NET, CUT | {"fc.weight": torch.randn(16, 33)}, "fc")


def test_every_tensor_of_two_dimensions_is_a_layer():
    one = {"experts.gate_up_proj": torch.randn(2, 4, 4), "pos_embed": torch.randn(1, 5, 4)}
    ids = {
        "position_ids": torch.arange(6).reshape(1, 6),
        "causal": torch.ones(3, 3, dtype=torch.bool),
    }
    assert compare(one | ids, one | ids)["layer"].tolist() == list(one)


def test_what_is_not_compared_and_differs_is_counted():
    one = NET | {
        "bn.weight": torch.ones(8),
        "steps": torch.tensor(3),
        "nan": torch.tensor([torch.nan]),
    }
    two = CUT | {
        "bn.weight": torch.zeros(8),
        "steps": torch.tensor(4),
        "nan": one["nan"],
        "more": torch.ones(2),
    }
    said = compare(one, two).remarks
    assert "tensors that are not compared and differ: 2 (bn.weight, steps)." in said
    assert "further tensors in one network only: 1 (more)." in said
    assert compare(one, one).remarks == []
    slim = NET | {"bn.weight": torch.ones(8) * (torch.arange(8) > 3)}
    assert "tensors beside them differ" in compare(NET | {"bn.weight": torch.ones(8)}, slim).verdict


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.h = nn.Embedding(20, 6), nn.Linear(6, 6)
        self.lm_head = nn.Linear(6, 20, bias=False)
        self.lm_head.weight = self.wte.weight


def test_tied_weights_are_counted_once(tmp_path):
    network = Tied()
    torch.save(network.state_dict(), tmp_path / "a.pt")
    save_file(
        {k: v for k, v in network.state_dict().items() if "head" not in k},
        tmp_path / "b.safetensors",
    )
    both = compare(network, network)
    assert both["layer"].tolist() == ["wte", "h"]
    assert both.remarks == ["lm_head is tied to wte, and counted once."]
    one = compare(tmp_path / "a.pt", str(tmp_path / "b.safetensors"))
    assert one["layer"].tolist() == ["wte", "h"]
    assert one.remarks == ["lm_head is only in the baseline and tied to wte, and counted once."]
    copied = {name: value.clone() for name, value in network.state_dict().items()}
    assert compare(copied, tmp_path / "b.safetensors").remarks == one.remarks
    untied = {name: value.clone() for name, value in network.state_dict().items()}
    assert compare(network, untied)["layer"].tolist() == ["wte", "h", "lm_head"]


def test_modules_state_dicts_and_paths(tmp_path):
    network = nn.Linear(3, 2)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    given = (network, network.state_dict(), str(tmp_path / "a.pt"), Path(tmp_path / "a.pt"))
    given += (ap3.read_weights(tmp_path / "a.pt"), ap3.read_weights(str(tmp_path / "a.pt")))
    for one in given:
        for two in given:
            assert compare(one, two)["ap2"].tolist() == [0]
    for wrong in (None, 3, {network}, np.ones((2, 2))):
        with pytest.raises(
            TypeError, match=r"the pruned network must be a module.*state_dict\(\)\.$"
        ):
            compare(network, wrong)


def test_printed_it_fits_into_80_columns():
    one = {f"encoder.layers.{i}.self_attention.in_proj_weight": torch.randn(8, 8) for i in range(3)}
    one["x" * 150 + ".weight"] = torch.randn(4, 4)
    shown = str(compare(one, {name: value * (value > 0) for name, value in one.items()}))
    assert max(map(len, shown.splitlines())) <= 80
    assert all(word in shown for word in ("sparsity", "ap2", "unstructured"))


def test_a_selection_is_an_ordinary_table():
    table = compare(NET, CUT)
    assert "verdict" not in str(table[["layer", "ap2"]])
    assert str(table[["layer", "ap2"]]).startswith("  layer")


NASTY = ["\x1b[2J.a", "[red]b", "[/]", "[link=http://x]y[/link]", "=cmd()", "a\nb"]


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("option", [[], ["--json"], ["--csv"]])
def test_nasty_names_at_the_terminal(is_terminal, option, tmp_path, monkeypatch, capsys):
    state = {f"{name}.weight": torch.randn(3, 3) for name in NASTY}
    torch.save(state | {"\x1b[31mbn": torch.ones(2)}, tmp_path / "a.pt")
    torch.save(state | {"\x1b[31mbn": torch.zeros(2)}, tmp_path / "b.pt")
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal, raising=False)
    paths = [str(tmp_path / name) for name in ("a.pt", "b.pt")]
    monkeypatch.setattr(sys, "argv", ["ap3", "compare", *paths, *option])
    assert process.run() == 0
    out, error = capsys.readouterr()
    assert "\x1b[2J" not in out + error
    assert "\x1b[31m" not in out + error
    assert "]8;" not in out  # a link
    if option == ["--json"]:
        assert [row["layer"] for row in json.loads(out)] == [
            n.replace("\x1b", "\\x1b").replace("\n", "\\n") for n in NASTY
        ]
    elif option == ["--csv"]:
        assert "'=cmd()" in out
    else:
        assert "[link=http://x]y" in out.replace("\n", "")


def test_csv_and_json_of_a_plain_table():
    table = compare(NET, CUT)
    assert printing.as_csv(table).startswith(
        "layer,weights,sparsity,ap2,relative_distance,ap3_gaussian,"
    )
    assert json.loads(printing.as_json(table))[0]["fine_tuned"] is False


def test_a_layer_in_two_factors_is_multiplied_out():
    one = {
        "fc.weight": torch.randn(12, 9),
        "fc.bias": torch.ones(12),
        "out.weight": torch.randn(3, 12),
    }
    a, b = torch.randn(4, 9), torch.randn(12, 4)
    for inner, outer in (("fc.0.weight", "fc.1.weight"), ("fc_v.weight", "fc_u.weight")):
        table = compare(one, {inner: a, outer: b, "out.weight": one["out.weight"]})
        row = table.set_index("layer").loc["fc"]
        expected = (one["fc.weight"].double() - b.double() @ a.double()).square().sum().item()
        assert row["ap2"] == pytest.approx(expected)
        assert (row["kind"], row["detail"]) == ("low rank", "rank 4 of 9")
        assert any("fc is kept as" in remark for remark in table.remarks)
    for wrong in ((torch.randn(12, 9), torch.randn(12, 12)), (torch.randn(4, 8), b)):
        factors = {
            "fc.0.weight": wrong[0],
            "fc.1.weight": wrong[1],
            "out.weight": one["out.weight"],
        }
        assert compare(one, factors).set_index("layer").loc["fc", "kind"] == "dropped"


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float64, np.float32])
def test_a_dropped_layer_of_any_type(dtype):
    fc = NET["fc.weight"]
    fc = fc.numpy().astype(dtype) if dtype is np.float32 else fc.to(dtype)
    table = compare(NET | {"fc.weight": fc}, {"conv.weight": NET["conv.weight"]}).set_index("layer")
    assert table.loc["fc", "relative_distance"] == 1
