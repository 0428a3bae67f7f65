"""The callbacks, driven as the two libraries drive them, by stand-ins with the same methods."""

import math
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from ap3.diagnosing.callbacks import WeightLog, hugging_face_callback, lightning_callback
from ap3.diagnosing.layer_laws import columns
from ap3.errors import InvalidValueError, MissingPackageError


@pytest.fixture
def libraries(monkeypatch):
    for name, attribute in (
        ("lightning.pytorch", "Callback"),
        ("transformers", "TrainerCallback"),
    ):
        module = ModuleType(name)
        setattr(module, attribute, type(attribute, (), {}))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))


class Logging(nn.Sequential):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        self.logged = []

    def log_dict(self, numbers, rank_zero_only=False):
        self.logged.append(numbers)


def expected(before, after):
    ap2 = float((before.double() - after.double()).square().sum())
    return ap2, 1.9 * ap2 / float(before.double().square().sum())


def test_lightning_logs_the_true_sparsity_of_masked_weights(libraries):
    network, callback = Logging(), lightning_callback(every=2)
    before = network[0].weight.detach().clone()
    callback.on_fit_start(None, network)
    prune.l1_unstructured(network[0], "weight", 12)
    for epoch in range(4):
        callback.on_train_epoch_end(SimpleNamespace(current_epoch=epoch), network)
    assert len(network.logged) == 2
    found = network.logged[-1]
    ap2, ap3 = expected(before, network[0].weight.detach())
    assert found["ap3/0/sparsity"] == 0.5
    assert found["ap3/2/sparsity"] == 0
    assert found["ap3/sparsity"] == 12 / 36
    assert found["ap3/0/ap2"] == pytest.approx(ap2, rel=1e-12)
    assert found["ap3/0/ap3_gaussian"] == pytest.approx(ap3, rel=1e-12)
    assert found["ap3/ap3_gaussian"] == pytest.approx(ap3, rel=1e-12)
    assert found["ap3/2/ap2"] == 0


def test_hugging_face_logs_when_the_loss_is_logged(libraries):
    network, logged = Logging(), []
    baseline = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    callback = hugging_face_callback(SimpleNamespace(log=logged.append), baseline)
    callback.on_train_begin(None, None, None, model=network)
    with torch.no_grad():
        network[2].weight[0] = 0
    first, other = (SimpleNamespace(is_world_process_zero=zero) for zero in (True, False))
    callback.on_log(None, first, None, {"loss": 1.0}, model=network)
    callback.on_log(None, first, None, {"eval_loss": 1.0}, model=network)
    callback.on_log(None, other, None, {"loss": 1.0}, model=network)
    (logs,) = logged
    ap2, _ = expected(baseline["2.weight"], network[2].weight.detach())
    assert logs["ap3/2/sparsity"] == 0.5
    assert logs["ap3/ap2"] == pytest.approx(ap2, rel=1e-12)


def test_a_tied_weight_is_counted_once(libraries):
    network, callback = Logging(), lightning_callback()
    network[0] = nn.Linear(4, 4)
    network[2] = nn.Linear(4, 4)
    network[2].weight = network[0].weight
    callback.on_fit_start(None, network)
    callback.on_train_epoch_end(SimpleNamespace(current_epoch=0), network)
    assert "ap3/0/ap2" in network.logged[0]
    assert "ap3/2/ap2" not in network.logged[0]


def test_a_training_that_diverges_goes_on_and_is_logged_as_nan():
    network, log = Logging(), WeightLog()
    log.begin(network)
    with torch.no_grad():
        network[0].weight[0, 0], network[0].weight[1] = torch.nan, 0
    found = log.of(network)
    assert found["ap3/0/sparsity"] == 4 / 24
    assert {name for name, value in found.items() if value != value} == {
        *(f"ap3/0/{column}" for column in columns()),
        *(f"ap3/{column}" for column in columns()),
    }
    late = WeightLog()
    late.begin(network)
    with torch.no_grad():
        network[0].weight.zero_()
    assert math.isnan(late.of(network)["ap3/0/ap2"])


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # torch's
def test_a_layer_without_weights_is_left_out():
    network, log = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 0)), WeightLog()
    log.begin(network)
    assert set(log.of(network)) == {
        f"ap3/{before}{name}" for before in ("", "0/") for name in ("sparsity", *columns())
    }


class Holding(nn.Module):
    """Holds the network that is trained, as Lightning's modules do."""

    def __init__(self, network):
        super().__init__()
        self.net = network


@pytest.mark.parametrize(
    ("prefix", "wrapped", "shown"),
    [
        ("", Holding, "net.2"),
        ("transformer.", lambda network: network, "2"),
        ("_orig_mod.", lambda network: network, "2"),
        ("module.", lambda network: Holding(Holding(network)), "net.net.2"),
    ],
)
def test_a_baseline_under_other_prefixes_is_that_of_the_network(prefix, wrapped, shown):
    network = Logging()
    baseline = {prefix + name: tensor.clone() for name, tensor in network.state_dict().items()}
    before = network[2].weight.detach().clone()
    log = WeightLog(baseline)
    log.begin(wrapped(network))
    with torch.no_grad():
        network[2].weight[0] = 0
    found = log.of(wrapped(network))
    ap2, ap3 = expected(before, network[2].weight.detach())
    assert found["ap3/sparsity"] == 6 / 36
    assert found["ap3/ap2"] == found[f"ap3/{shown}/ap2"] == pytest.approx(ap2, rel=1e-12)
    assert found["ap3/ap3_gaussian"] == pytest.approx(ap3, rel=1e-12)


def test_layers_that_the_baseline_lacks_are_named_once(libraries):
    network = Logging()
    network.append(nn.Linear(2, 3))
    baseline = {name: t.clone() for name, t in network.state_dict().items() if name[0] != "3"}
    baseline["2.weight"] = torch.ones(5, 6)
    callback = lightning_callback(baseline)
    with pytest.warns(UserWarning, match="the baseline lacks 2, 3, or has other shapes"):
        callback.on_fit_start(None, network)
    callback.on_train_epoch_end(SimpleNamespace(current_epoch=0), network)  # warns no more
    assert network.logged[0].keys() >= {"ap3/0/ap2", "ap3/ap2"}
    assert not any(name.startswith(("ap3/2/", "ap3/3/")) for name in network.logged[0])


def test_a_baseline_of_another_network_is_refused_before_training(libraries):
    given = {"x.weight": torch.ones(2, 2)}
    sentence = r"there are none \(the network has 0, 2; the baseline has x\); give the state dict of a network"
    with pytest.raises(InvalidValueError, match=sentence):
        lightning_callback(given).on_fit_start(None, Logging())
    callback = hugging_face_callback(None, given)
    with pytest.raises(InvalidValueError, match=sentence):
        callback.on_train_begin(None, None, None, model=Logging())
    with pytest.raises(InvalidValueError, match="BatchNorm1d has no layer to log"):
        lightning_callback().on_fit_start(None, nn.BatchNorm1d(3))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lightning_callback, ("lightning", "lightning.pytorch", "pytorch_lightning")),
        (hugging_face_callback, ("transformers",)),
    ],
)
def test_a_library_that_is_missing_is_named(make, names, monkeypatch):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=f"needs {names[0]}; install it"):
        make(None)
