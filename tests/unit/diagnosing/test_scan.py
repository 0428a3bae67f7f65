import copy

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from small_data import batches
from torch import nn
from torch.nn.utils import prune

from ap3.diagnosing.scan import scan
from ap3.errors import InvalidTypeError, InvalidValueError
from ap3.models.registry import build


@pytest.mark.parametrize("name", ["small_resnet", "small_vit"])
def test_each_point_is_that_of_a_real_pruning_with_torchs_tools(name):
    torch.manual_seed(0)
    net, data = build(name, 5, 16), batches((4, 3, 16, 16))
    found = scan(net, data, [0.4, 0.9])
    x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    net.eval()
    with torch.no_grad():
        before = F.cross_entropy(net(x), y, reduction="none").double()
    for row in found.rows[:: 1 if name == "small_vit" else 3]:
        real = copy.deepcopy(net)
        module, _, parameter = found.names[row["layer"]][0].rpartition(".")
        prune.l1_unstructured(real.get_submodule(module), parameter, row["pruned"])
        if parameter == "in_proj_weight":  # the fused attention does not see torch's mask
            prune.remove(real.get_submodule(module), parameter)
        with torch.no_grad():
            logits = real(x)
        after = F.cross_entropy(logits, y, reduction="none").double()
        assert row["pd_loss"] == pytest.approx(float((after - before).mean()), abs=1e-6)
        assert row["pd_loss_se"] == pytest.approx(float((after - before).std() / 8**0.5), abs=1e-6)
        weight = net.get_parameter(found.names[row["layer"]][0]).detach()
        assert row["pruned"] == round(row["ratio"] * weight.numel())


def test_the_laws_and_the_calibration():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))
    found = scan(net, batches((9, 6)), [0.5, 1.0])
    for row in found.rows:
        weight = net[int(row["layer"])].weight.detach().double()
        removed = weight.square().flatten().sort()[0][: row["pruned"]].sum()
        assert row["ap2"] == pytest.approx(float(removed), rel=1e-6)
        assert row["ap3_gaussian"] == pytest.approx(
            1.9 * float(removed / weight.square().sum()), rel=1e-6
        )
        assert row["calibration"] == pytest.approx(row["kl_predictions"] / row["ap3_gaussian"])
        assert row["pd_loss"] == pytest.approx(row["slope"] + row["kl_predictions"], abs=1e-12)
    assert found.table["uses"].tolist() == [1.0] * 4


def test_uses_count_the_multiplications_of_a_weight():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 2, 1), nn.Flatten(), nn.Linear(98, 5)
    )
    found = scan(net, batches((2, 3, 15, 15)), [0.5])
    assert found.table["uses"].tolist() == [49, 49, 1]
    up = nn.Sequential(
        nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), nn.Flatten(), nn.Linear(4 * 16 * 16, 5)
    )
    assert scan(up, batches((2, 3, 8, 8)), [0.5]).table["uses"].tolist() == [64, 1]
    vit = scan(build("small_vit", 5, 16), batches((2, 3, 16, 16), count=1), [0.5])
    uses = dict(zip(vit.table["layer"], vit.table["uses"], strict=True))
    assert uses["conv_proj"] == 16
    assert uses["heads.head"] == 1
    for name, value in uses.items():
        assert name in ("conv_proj", "heads.head") or value == 17  # patches and the class token


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # torch's
def test_layers_without_weights_are_left_out():
    class Widening(nn.Module):
        def __init__(self):
            super().__init__()
            self.none, self.some = nn.Linear(0, 5), nn.Linear(6, 5)

        def forward(self, x):
            return self.some(x) + self.none(x[:, :0])

    assert set(scan(Widening(), batches((9, 6)), [0.5]).table["layer"]) == {"some"}
    with pytest.raises(InvalidValueError, match="matches none of the network's: some"):
        scan(Widening(), batches((9, 6)), [0.5], layers="none")


def test_layers_modes_and_output():
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))
    found = scan(net, iter(batches((9, 6))), [0.5], layers="2", mode="highest")
    assert found.table["layer"].tolist() == ["2"]
    assert found.verdict.startswith("pruning 50% of 2 moves the predictions by ")
    both = scan(net, batches((9, 6)), [0.5])
    assert "most sensitive layer is" in str(both)
    assert "<table" in both._repr_html_()
    assert len(both.figure().axes[0].lines) == 2
    assert isinstance(both.table, pd.DataFrame)
    for given in ([], [0.0], [1.2]):
        with pytest.raises(InvalidValueError, match="the ratios must be"):
            scan(net, batches((9, 6)), given)
    with pytest.raises(InvalidValueError, match="matches none"):
        scan(net, batches((9, 6)), layers="conv*")
    for other in ([1], 1):
        with pytest.raises(InvalidTypeError, match="layers must be names of layers"):
            scan(net, batches((9, 6)), layers=other)
    for other in ("curves.jpg", "layer"):
        with pytest.raises(InvalidValueError, match=f"with numbers is called '{other}'"):
            both.figure(other)


class Tokens(nn.Module):
    """Takes sequences of any length; scales by a weight that nothing multiplies as a matrix."""

    def __init__(self):
        super().__init__()
        self.table, self.body, self.head = nn.Embedding(9, 4), nn.Linear(4, 6), nn.Linear(6, 3)
        self.weight_scale = nn.Parameter(torch.ones(1, 6))

    def forward(self, words):
        return self.head((self.body(self.table(words)) * self.weight_scale).mean(1))


@pytest.mark.parametrize("order", [1, -1])
def test_uses_are_averaged_over_all_examples(order):
    torch.manual_seed(0)
    data = [
        (torch.randint(9, (n, length)), torch.randint(3, (n,))) for n, length in ((3, 4), (9, 40))
    ]
    found = scan(Tokens(), data[::order], [0.5])
    assert dict(zip(found.table["layer"], found.table["uses"], strict=True)) == {
        "weight_scale": 1,
        "table": 0,
        "body": (3 * 4 + 9 * 40) / 12,
        "head": 1,
    }
    [remark] = [remark for remark in found.remarks if "cannot be told" in remark]
    assert "weight_scale" in remark


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")
def test_a_weight_that_is_computed_at_every_call_is_left_as_it_was():
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    for module in net:
        nn.utils.weight_norm(module)
    before = [module.weight.detach().clone() for module in net]
    layers = ["0.weight_g", "1.weight_g"]
    scan(net, [(torch.randn(5, 4), torch.randint(3, (5,)))], [0.5], layers)
    for module, weight in zip(net, before, strict=True):
        assert torch.equal(module.weight, weight)


def test_a_network_that_draws_is_refused():
    class Noisy(nn.Linear):
        def forward(self, inputs):
            return super().forward(F.dropout(inputs, 0.5))

    torch.manual_seed(0)
    with pytest.raises(InvalidValueError, match=r"differ by up to .* from call to call"):
        scan(Noisy(4, 5), batches((6, 4)), [0.5])
