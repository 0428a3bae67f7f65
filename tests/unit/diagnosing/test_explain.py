import copy

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.nn.utils import prune

from ap3.diagnosing.allocate import allocate
from ap3.diagnosing.explain import REST, explain
from ap3.diagnosing.scan import scan
from ap3.errors import InvalidTypeError, InvalidValueError


def network(norm=False):
    torch.manual_seed(0)
    middle = nn.BatchNorm1d(6) if norm else nn.Tanh()
    made = nn.Sequential(nn.Linear(5, 6), middle, nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4))
    return made.double()


def batches(count=3, n=7):
    generator = torch.Generator().manual_seed(3)
    return [
        (
            torch.randn(n, 5, generator=generator, dtype=torch.float64),
            torch.randint(4, (n,), generator=generator),
        )
        for _ in range(count)
    ]


def pruned(of, amount=0.4):
    state = {name: tensor.clone() for name, tensor in of.state_dict().items()}
    for name in ("0.weight", "2.weight"):
        small = state[name].abs() <= state[name].abs().flatten().kthvalue(12)[0]
        state[name][small] = 0
    state["4.bias"] += 0.3
    return state


def losses(module, state, examples):
    x, y = (torch.cat(parts) for parts in zip(*examples, strict=True))
    with torch.no_grad():
        logits = functional_call(copy.deepcopy(module).eval(), state, (x,))
    return F.cross_entropy(logits, y, reduction="none"), logits.argmax(1) == y, logits


def test_every_number_is_that_of_the_definition():
    net, data = network(), batches()
    state = pruned(net)
    found = explain(net, state, data)
    before, right, _ = losses(net, dict(net.state_dict()), data)
    after, still, _ = losses(net, state, data)
    difference = (after - before).numpy()
    assert found.network["pd_loss"] == pytest.approx(difference.mean(), abs=1e-13)
    assert found.network["pd_loss_se"] == pytest.approx(difference.std(ddof=1) / 21**0.5, rel=1e-12)
    assert found.network["pd_accuracy"] == pytest.approx(
        float(right.double().mean() - still.double().mean()), abs=1e-15
    )
    rows = found.table.set_index("layer")
    assert set(rows.index) == {"0", "2", REST}
    for layer, names in (("0", ["0.weight"]), ("2", ["2.weight"]), (REST, ["4.bias"])):
        alone, _, _ = losses(net, dict(net.state_dict()) | {k: state[k] for k in names}, data)
        assert rows.loc[layer, "pd_loss"] == pytest.approx(
            float((alone - before).mean()), abs=1e-13
        )
    assert found.single_layers.value == pytest.approx(rows["pd_loss"].sum(), abs=1e-13)
    assert found.together.value == pytest.approx(
        found.network["pd_loss"] - rows["pd_loss"].sum(), abs=1e-13
    )
    ap2 = {
        layer: float((state[f"{layer}.weight"] - net[int(layer)].weight.detach()).square().sum())
        for layer in "02"
    }
    for layer, value in ap2.items():
        assert rows.loc[layer, "ap2"] == pytest.approx(value, rel=1e-12)
        norm = float(net[int(layer)].weight.detach().square().sum())
        assert rows.loc[layer, "ap3_gaussian"] == pytest.approx(1.9 * value / norm, rel=1e-12)
    assert found.network["ap2"] == pytest.approx(sum(ap2.values()), rel=1e-12)


def test_the_pd_is_slope_plus_kl_exactly():
    net = network()
    found = explain(net, pruned(net), batches())
    for row in (found.network, *found.rows):
        assert row["pd_loss"] == pytest.approx(row["slope"] + row["kl_predictions"], abs=1e-12)


def test_the_gauss_newton_form_is_that_of_the_dense_jacobian():
    net, data = network(), batches()
    state = pruned(net)
    found = explain(net, state, data)
    x = torch.cat([inputs for inputs, _ in data])
    weights = {name: tensor.detach() for name, tensor in net.named_parameters()}
    jacobian = torch.func.jacrev(lambda given: functional_call(net, given, (x,)))(weights)
    p = net(x).detach().softmax(1)

    def form(names):
        u = sum(
            torch.einsum("nci,i->nc", jacobian[k].flatten(2), (state[k] - weights[k]).flatten())
            for k in names
        )
        return 0.5 * float(((p * u.square()).sum(1) - (p * u).sum(1).square()).mean())

    rows = found.table.set_index("layer")["gauss_newton"]
    assert rows["0"] == pytest.approx(form(["0.weight"]), rel=1e-10)
    assert rows["2"] == pytest.approx(form(["2.weight"]), rel=1e-10)
    together = ["0.weight", "2.weight", "4.bias"]
    assert found.network["gauss_newton"] == pytest.approx(form(together), rel=1e-10)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.rnn = nn.Embedding(30, 6), nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, tokens):
        return self.head(self.rnn(self.words(tokens))[0].mean(1))


def test_a_recurrent_network_is_explained():
    torch.manual_seed(0)
    net, data = Recurrent(), [(torch.randint(30, (9, 4)), torch.randint(3, (9,)))]
    pruned = copy.deepcopy(net)
    with torch.no_grad():
        pruned.rnn.weight_hh_l0[::2] = 0
    found = explain(net, pruned, data)
    rows = found.table.set_index("layer")
    change = pruned.rnn.weight_hh_l0 - net.rnn.weight_hh_l0
    tiny = copy.deepcopy(net).double()
    with torch.no_grad():
        tiny.rnn.weight_hh_l0 += 1e-3 * change
        ends = [F.log_softmax(one(data[0][0]), 1) for one in (copy.deepcopy(net).double(), tiny)]
    kl = (ends[0].exp() * (ends[0] - ends[1])).sum(1).mean()
    assert rows.loc["rnn.weight_hh_l0", "gauss_newton"] == pytest.approx(1e6 * float(kl), rel=2e-3)
    assert torch.backends.mkldnn.enabled


def test_the_network_is_left_as_it_was():
    net = network(norm=True).train()
    net[1].eval()
    before = copy.deepcopy(net.state_dict())
    explain(net, pruned(net), batches())
    assert [module.training for module in net] == [True, False, True, True, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())


def test_answers_are_those_of_the_logits_as_they_are():
    """Of equal logits the first class is the answer; a change added back would break the tie."""
    net, data = network(), batches(count=10)
    with torch.no_grad():
        net[4].bias.fill_(0.1)
    state = dict(net.state_dict()) | {"4.weight": torch.zeros(4, 6, dtype=torch.float64)}
    found = explain(net, state, data).network
    before, after = (
        torch.cat([functional_call(net, given, (x,)) for x, _ in data]).argmax(1)
        for given in (dict(net.state_dict()), state)
    )
    labels = torch.cat([y for _, y in data])
    assert found["flips"] == float((before != after).double().mean())
    assert found["pd_accuracy"] == pytest.approx(
        float((before == labels).double().mean() - (after == labels).double().mean()), abs=1e-12
    )


def test_a_law_without_a_scale_is_nan():
    """Means of groups that are all zero locate no Student-t law."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 3))
    with torch.no_grad():
        net[0].weight[:, 1::2] = -net[0].weight[:, ::2]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state["0.weight"][0] = 0
    row = explain(net, state, [(torch.randn(9, 20), torch.randint(3, (9,)))]).table.iloc[0]
    assert np.isnan(row["ap3_student_t"])
    assert row["ap3_gaussian"] > 0


@pytest.mark.parametrize("moved", [{"mean"}, {"var"}, {"mean", "var"}, {"mean", "var", "affine"}])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_moved_running_statistics_count_to_first_order(norm, moved):
    """As after fine-tuning; torch's own normalisation has no derivative in them."""
    torch.manual_seed(1)
    normalised = norm(4, affine=True, track_running_stats=True)
    parts = (nn.Conv2d(2, 4, 3), normalised, nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    net = nn.Sequential(*parts).double()
    data = [(torch.randn(20, 2, 5, 5, dtype=torch.float64), torch.randint(3, (20,)))]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    if "mean" in moved:
        state["1.running_mean"] += 0.3 * torch.randn(4)
    if "var" in moved:
        state["1.running_var"] *= 1 + 0.5 * torch.rand(4)
    if "affine" in moved:
        state["1.weight"] += 0.1
        state["0.bias"] -= 0.2
    found = explain(net, state, data)
    x, step = data[0][0], 1e-6
    start = dict(net.state_dict())
    ends = [
        {name: held + side * step * (state[name] - held) for name, held in start.items()}
        for side in (1, -1)
    ]
    plus, minus = (functional_call(net.eval(), end, (x,)).detach() for end in ends)
    change, p = (plus - minus) / (2 * step), net(x).detach().softmax(1)
    variance = (p * change**2).sum(1) - (p * change).sum(1) ** 2
    assert found.network["gauss_newton"] == pytest.approx(float(variance.mean()) / 2, rel=1e-6)


def test_what_became_of_batch_norm_is_said():
    net = network(norm=True)
    state = pruned(net)
    assert any("not estimated again" in remark for remark in explain(net, state, batches()).remarks)
    state["1.running_var"] *= 2
    found = explain(net, state, batches())
    assert any("1 of 1 layers differ" in remark for remark in found.remarks)
    assert explain(network(), pruned(network()), batches()).remarks == []


def test_modules_with_masks_files_and_ties_are_taken(tmp_path):
    net = network()
    other = copy.deepcopy(net)
    prune.l1_unstructured(other[0], "weight", 12)
    from_module = explain(net, other, batches())
    torch.save(other.state_dict(), tmp_path / "pruned.pt")
    from_file = explain(net, str(tmp_path / "pruned.pt"), batches())
    pd.testing.assert_frame_equal(from_module.table, from_file.table)
    tied = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5)).double()
    tied[2].weight = tied[0].weight
    changed = {name: tensor.clone() for name, tensor in tied.state_dict().items()}
    changed["0.weight"][0] = 0
    changed["2.weight"][0] = 0
    found = explain(tied, changed, [(x, y % 4) for x, y in batches()])
    assert found.table["layer"].tolist() == ["0"]
    before, _, _ = losses(tied, {}, batches())
    after, _, _ = losses(tied, {k: v for k, v in changed.items() if k != "2.weight"}, batches())
    assert found.network["pd_loss"] == pytest.approx(float((after - before).mean()), abs=1e-13)


def test_the_order_and_the_number_of_batches_do_not_matter():
    net = network()
    one = explain(net, pruned(net), batches())
    many = [(x[i : i + 1], y[i : i + 1]) for x, y in batches() for i in range(7)]
    pd.testing.assert_frame_equal(one.table, explain(net, pruned(net), iter(many)).table)


def test_it_reads_as_text_html_and_csv(tmp_path):
    net = network()
    found = explain(net, pruned(net), batches())
    assert found.verdict.startswith("pruning ")
    assert "±" in found.verdict
    assert "network" in str(found)
    assert max(map(len, str(found).splitlines())) <= 100
    assert "<table" in found._repr_html_()
    found.to_csv(tmp_path / "layers.csv")
    read = pd.read_csv(tmp_path / "layers.csv", dtype={"layer": str})
    pd.testing.assert_frame_equal(read.iloc[:-1], found.table)
    last = read.iloc[-1]
    assert last["layer"] == "network"
    assert last["pd_loss"] == found.network["pd_loss"]
    assert found.to_csv().startswith("layer,weights,sparsity,ap2,ap3_gaussian")


def test_equal_networks():
    net = network()
    found = explain(net, net, batches())
    assert found.verdict == "the two networks are equal: nothing was pruned."
    assert found.table.empty
    assert found.network["pd_loss"] == 0


def test_a_baseline_and_a_pruned_network_the_wrong_way_round_are_told():
    one, two = network(), network()
    two.load_state_dict(pruned(one))
    told = "the wrong way round: 24 weights are zero in the baseline alone"
    assert any(told in remark for remark in explain(two, one, batches()).remarks)
    assert not any("wrong way" in remark for remark in explain(one, two, batches()).remarks)


def test_networks_that_do_not_fit():
    net = network()
    state = pruned(net)
    with pytest.raises(InvalidValueError, match=r"lacks 4\.bias"):
        explain(net, {k: v for k, v in state.items() if k != "4.bias"}, batches())
    with pytest.raises(InvalidValueError, match=r"0.weight has shape \(3, 5\)"):
        explain(net, state | {"0.weight": torch.zeros(3, 5)}, batches())
    with pytest.raises(InvalidValueError, match=r"0.weight of the pruned network must be finite"):
        explain(net, state | {"0.weight": torch.full((6, 5), np.nan)}, batches())
    with pytest.raises(InvalidTypeError, match="but is int"):
        explain(net, 3, batches())


def test_a_loss_of_accuracy_is_never_called_no_harm():
    """The loss may stay while answers change: a sure network that errs a little more is less sure."""
    net = nn.Sequential(nn.Linear(1, 2, bias=False)).double()
    with torch.no_grad():
        net[0].weight[:] = torch.tensor([[3.0], [0.0]])
    x = torch.cat([torch.full((40, 1), 0.1), torch.full((10, 1), -2.0)]).double()
    labels = torch.zeros(50, dtype=torch.long)
    state = {"0.weight": torch.tensor([[-0.3], [0.0]]).double()}
    found = explain(net, state, [(x, labels)])
    assert found.network["pd_accuracy"] > 1.96 * found.network["pd_accuracy_se"]
    assert "no harm" not in found.verdict


class Cosine(nn.Module):
    """Divides by the length of what its first layer puts out, which may be zero."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8, bias=False), nn.Linear(8, 3)

    def forward(self, inputs):
        hidden = self.first(inputs)
        return self.last(hidden / hidden.norm(dim=1, keepdim=True))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_logits_that_are_no_numbers_are_damage():
    torch.manual_seed(0)
    one, data = Cosine(), [(torch.randn(20, 4), torch.randint(3, (20,)))]
    other = copy.deepcopy(one)
    other.first.weight.data.zero_()
    found = explain(one, other, data)
    right = float((one(data[0][0]).argmax(1) == data[0][1]).double().mean())
    assert "NaN or infinite for 20 of 20 examples" in found.verdict
    assert found.network["pd_loss"] == found.network["kl_predictions"] == np.inf
    assert found.network["pd_accuracy"] == pytest.approx(right)
    scanned = scan(one, data, ratios=[0.5, 1.0])
    assert "first: the logits of some examples are NaN or infinite" in scanned.remarks[-1]
    assert "pruned by 50%" in scanned.verdict
    measured = allocate(scanned, 0.1)
    assert np.isfinite(measured.table["pd_loss"].iloc[0])
    assert not measured.table.filter(like="predicted").isna().any().any()


class Detached(nn.Module):
    """Its first layer's tangent is lost on the way."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(5, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.two(self.one(x).detach().sin())


def test_a_first_order_by_differences_is_said():
    torch.manual_seed(0)
    net = Detached().double()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state["one.weight"][:3] *= 0.99
    state["two.weight"][:2] *= 0.99
    found = explain(net, state, batches())
    table = found.table.set_index("layer")
    for layer in ("one", "two"):  # a small change, whose KL is of second order
        assert table["gauss_newton"][layer] == pytest.approx(
            table["kl_predictions"][layer], rel=0.02
        )
    [remark] = [remark for remark in found.remarks if "by differences" in remark]
    assert "of one is" in remark


def test_complex_weights_and_whole_numbers_have_a_first_order_or_none():
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Parameter(torch.randn(5, 4, dtype=torch.complex128))
            self.head = nn.Linear(4, 4).double()
            self.register_buffer("order", torch.arange(4))

        def forward(self, x):
            return self.head((x.to(self.one.dtype) @ self.one).abs()[:, self.order])

    torch.manual_seed(0)
    net = Spectral()
    for name in ("one", "order"):
        state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        state[name] = state[name] * 1.01 if name == "one" else state[name].flip(0)
        found = explain(net, state, batches()).network
        wanted = found["kl_predictions"] if name == "one" else 0.0
        assert found["gauss_newton"] == pytest.approx(wanted, rel=0.05)
