"""A scan of channels prunes coupled layers as one, and equals their real removal."""

import copy
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from small_data import batches
from torch import nn
from torch.nn.utils import prune
from torchvision.models import shufflenet_v2_x0_5

from ap3.diagnosing.allocate import allocate
from ap3.diagnosing.channel_groups import channel_groups
from ap3.diagnosing.page import page
from ap3.diagnosing.scan import scan
from ap3.errors import InvalidValueError, MissingPackageError
from ap3.models.registry import build
from ap3.networks.batches import checked


class Residual(nn.Module):
    """Two layers whose outputs are added, and so share channels; a third that shares none."""

    def __init__(self):
        super().__init__()
        self.stem, self.inner = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
        self.outer, self.norm = nn.Conv2d(4, 6, 1, bias=False), nn.BatchNorm2d(6)
        self.head = nn.Linear(6 * 4, 5)

    def forward(self, images):
        stem = torch.sigmoid(self.stem(images))
        both = stem + self.norm(self.outer(F.gelu(self.inner(stem))))
        return self.head(F.adaptive_avg_pool2d(both, 2).flatten(1))


def residual():
    torch.manual_seed(0)
    net = Residual()
    with torch.no_grad():
        for buffer in (net.norm.running_mean, net.norm.weight, net.norm.bias):
            buffer.normal_()
    return net


def first(shape):
    return next(checked(batches(shape), torch.device("cpu")))


def removed(net, layer, channels, images):
    """Remove channels by torch-pruning itself."""
    real = copy.deepcopy(net).eval()
    graph = torch_pruning.DependencyGraph().build_dependency(real, images, verbose=False)
    prune = torch_pruning.prune_conv_out_channels
    graph.get_pruning_group(real.get_submodule(layer), prune, channels).prune()
    return real


def test_layers_that_are_added_are_one_group():
    groups, left_out = channel_groups(residual(), first((4, 3, 8, 8)))
    assert not left_out
    assert [(group.name, group.makers, group.count) for group in groups] == [
        ("stem + 1 coupled", ("stem", "outer"), 6),
        ("inner", ("inner",), 4),
    ]
    assert set(groups[0].names) == {
        "stem.weight", "stem.bias", "inner.weight", "outer.weight",
        "norm.weight", "norm.bias", "head.weight",
    }  # fmt: skip
    shape = torch.Size([5, 24])
    gone = groups[0].gone("head.weight", shape, np.array([1, 5]))
    assert gone.any(0).nonzero().flatten().tolist() == [4, 5, 6, 7, 20, 21, 22, 23]
    assert torch.equal(gone.any(0), gone.all(0))


@pytest.mark.parametrize(
    ("make", "size"), [(residual, 8), (lambda: build("small_resnet", 5, 16), 16)]
)
def test_each_point_is_that_of_a_real_removal(make, size):
    torch.manual_seed(0)
    net, data = make(), batches((4, 3, size, size))
    found = scan(net, data, [0.3, 0.6], unit="channels")
    x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    groups, _ = channel_groups(net, first((4, 3, size, size)))
    named = dict(net.named_parameters())
    net.eval()
    with torch.no_grad():
        before = F.cross_entropy(net(x), y).double()
    assert len(found.rows) == 2 * len(groups)
    for row in found.rows:
        [group] = [group for group in groups if group.name == row["layer"]]
        count = round(row["ratio"] * group.count)
        channels = np.argsort(group.squares(named))[:count]
        real = removed(net, group.root, channels.tolist(), x)
        with torch.no_grad():
            after = F.cross_entropy(real(x), y).double()
        assert row["pd_loss"] == pytest.approx(float(after - before), abs=1e-6)
        wide = (p for name, p in named.items() if p.ndim > 1)
        assert row["pruned"] >= sum(p.numel() for p in wide) - sum(
            p.numel() for p in real.parameters() if p.ndim > 1
        )


def test_counts_squares_and_laws_are_those_of_the_zeros():
    net = residual()
    found = scan(net, batches((4, 3, 8, 8)), [0.5], layers="inner", unit="channels")
    [row] = found.rows
    inner, outer = net.inner.weight.detach().double(), net.outer.weight.detach().double()
    squares = inner.square().sum((1, 2, 3)) + outer.square().sum((0, 2, 3))
    squares += net.inner.bias.detach().double().square()
    gone = squares.argsort()[:2]
    assert row["weights"] == inner.numel() + outer.numel()
    assert row["pruned"] == 2 * (6 * 9 + 6)
    ap2 = inner[gone].square().sum() + outer[:, gone].square().sum()
    assert row["ap2"] == pytest.approx(float(ap2), rel=1e-6)
    scale = 1.9 * (
        inner[gone].square().sum() / inner.square().sum()
        + outer[:, gone].square().sum() / outer.square().sum()
    )
    assert row["ap3_gaussian"] == pytest.approx(float(scale), rel=1e-6)
    assert row["uses"] == 64
    assert row["pd_loss"] == pytest.approx(row["slope"] + row["kl_predictions"], abs=1e-12)


def test_the_network_is_left_as_it_was():
    net = residual().train().requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    found = scan(net, iter(batches((4, 3, 8, 8))), [0.5], unit="channels")
    assert net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert "of its channels, the most sensitive layer is" in found.verdict
    assert any("Coupled: stem = outer." in remark for remark in found.remarks)
    assert "Coupled layers lose their channels together" in page(found)
    assert found.figure().axes[0].get_xlabel() == "share of the layer's channels that is pruned"


def test_where_zeros_are_no_removal_the_group_is_left_out():
    torch.manual_seed(0)
    net = build("small_vit", 5, 16)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "head" in name:
                parameter.normal_()
    found = scan(net, batches((4, 3, 16, 16)), [0.5], unit="channels")
    [remark] = [remark for remark in found.remarks if remark.startswith("left out")]
    assert "coupled" in remark
    assert found.table["layer"].str.contains("mlp").all()


class Wired(nn.Module):
    """Layers a and b, wired by a function, before one more and a head."""

    def __init__(self, first, second, last, wiring):
        super().__init__()
        self.a, self.b, self.c, self.wiring = first, second, last, wiring
        self.d, self.head = conv(8, 8), nn.Linear(last.out_channels, 5)

    def forward(self, images):
        return self.head(F.relu(self.c(self.wiring(self, images))).mean((2, 3)))


def conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def gate(net, x):
    y = F.relu(net.a(x))
    return y * torch.sigmoid(net.b(y))


def halves(net, x):
    return torch.maximum(*net.a(x).chunk(2, 1)) + 0 * net.b(x).mean()


def unseen(net, x):
    return F.relu(net.a(x)) * torch.sigmoid(net.b(x).detach())


def flipped(net, x):
    return net.a(x) + net.b(x).flip(1)


def tiny_branch(net, x):
    y = F.relu(net.a(x))
    return y + 1e-2 * net.d(F.group_norm(net.b(y), 2))


@pytest.mark.parametrize(
    ("sizes", "wiring", "kept", "left_out"),
    [
        (((3, 8), (8, 1), (8, 6)), gate, ["c"], "a"),
        (((3, 16), (3, 4), (8, 6)), halves, ["c"], "a"),
        (((3, 8), (3, 8), (8, 6)), unseen, ["c"], "a"),
        (((3, 7), (3, 7), (7, 6)), flipped, ["c"], "a"),
        (((3, 8), (8, 8), (8, 6)), tiny_branch, ["a + 1 coupled", "c"], "b"),
    ],
)
def test_couplings_that_are_followed_wrongly_are_left_out(sizes, wiring, kept, left_out):
    torch.manual_seed(1)
    groups, others = channel_groups(
        Wired(*(conv(*size) for size in sizes), wiring), first((4, 3, 8, 8))
    )
    assert [group.name for group in groups] == kept
    assert any(name.startswith(left_out) for name in others)


def test_what_runs_in_circles_is_stopped(monkeypatch):
    monkeypatch.setattr("ap3.diagnosing.channel_groups._PATIENCE", 0.0)
    with pytest.raises(InvalidValueError, match="TimeoutError: no end after 0 seconds"):
        channel_groups(residual(), first((4, 3, 8, 8)))


def test_tied_layers_are_left_out():
    torch.manual_seed(0)
    net = nn.Sequential(conv(3, 6), nn.ReLU(), conv(6, 6), nn.ReLU(), conv(6, 6), nn.Flatten())
    net.append(nn.Linear(6 * 64, 7)).append(nn.ReLU()).append(nn.Linear(7, 5))
    net[4].weight = net[2].weight
    groups, left_out = channel_groups(net, first((4, 3, 8, 8)))
    assert [group.name for group in groups] == ["6"]
    assert left_out == ["0", "2", "4"]
    scan(net, batches((4, 3, 8, 8)), [0.5], unit="channels")
    assert net[4].weight is net[2].weight


def test_a_weight_counts_once_where_a_layer_reads_and_makes_the_same_channels():
    torch.manual_seed(0)

    class Recurring(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.inner, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 5)

        def forward(self, x):
            stem = torch.relu(self.stem(x))
            return self.head(torch.relu(stem + self.inner(stem)))

    net = Recurring()
    [group], _ = channel_groups(net, first((6, 3)))
    named = dict(net.named_parameters())
    for channel, square in enumerate(group.squares(named)):
        gone = (group.gone(n, named[n].shape, np.array([channel])) for n in group.names)
        ap2 = sum(
            float(named[n].detach().double()[mask].square().sum())
            for n, mask in zip(group.names, gone, strict=True)
        )
        assert square == pytest.approx(ap2, rel=1e-12)


def masked(layer, name="weight"):
    return prune.l1_unstructured(layer, name, 0.4)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (masked, r"weight of 0 .* torch.nn.utils.prune.remove\(module, 'weight'\)"),
        (lambda it: masked(it, "bias"), r"bias of 0 .*\.prune.remove\(module, 'bias'\)"),
        (nn.utils.weight_norm, r"torch.nn.utils.remove_weight_norm\(module, 'weight'\)"),
        (nn.utils.spectral_norm, r"torch.nn.utils.remove_spectral_norm\(module, 'weight'\)"),
        (
            nn.utils.parametrizations.weight_norm,
            r"parametrize.remove_parametrizations\(module, 'weight'\)",
        ),
    ],
)
def test_weights_that_are_computed_are_refused_with_the_remedy(change, sentence):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5))
    change(net[0])
    with pytest.raises(InvalidValueError, match=sentence):
        scan(net, batches((6, 3)), [0.5], unit="channels")


def test_mistakes_are_one_sentence(monkeypatch):
    net, data = residual(), batches((4, 3, 8, 8))
    with pytest.raises(InvalidValueError, match="weights or channels, but is 'rows'"):
        scan(net, data, unit="rows")
    with pytest.raises(
        InvalidValueError, match=r"matches 'head'; these can: stem \+ 1 coupled, inner"
    ):
        scan(net, data, layers="head", unit="channels")
    with pytest.raises(InvalidValueError, match="matches 'nothing'"):
        scan(net, data, layers=["stem", "nothing"], unit="channels")
    with pytest.raises(InvalidValueError, match="but mode is 'per_class'"):
        scan(net, data, mode="per_class", unit="channels")
    with pytest.raises(InvalidValueError, match="the network refuses batch 1"):
        scan(net, batches((4, 1, 8, 8)), unit="channels")
    found = scan(net, data, [0.5], unit="channels")
    with pytest.raises(InvalidValueError, match="the scan pruned channels"):
        allocate(found, 0.5)
    with pytest.raises(InvalidValueError, match="cannot follow the channels of ShuffleNetV2"):
        scan(shufflenet_v2_x0_5(num_classes=5), batches((4, 3, 32, 32)), unit="channels")
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(MissingPackageError, match="pip install torch-pruning"):
        scan(net, data, unit="channels")
