"""JΔ of operations that have no forward mode, or one that gives zero without a word."""

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.checkpoint import checkpoint

from ap3.networks.batches import Batch, checked
from ap3.networks.first_order import DIFFERENCE, FORWARD, NONE, REVERSE, FirstOrder
from ap3.networks.logits import evaluating
from ap3.networks.replay import Replay

CPU = torch.device("cpu")


class Cube(torch.autograd.Function):
    """Has a reverse mode only."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, given):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * given


def regions(x):
    images = x[:, None, None, :].expand(-1, 1, 6, -1)
    boxes = [x.new_tensor([[0, 0, 4, 3]])] * len(x)
    return torchvision.ops.roi_align(images, boxes, 3).flatten(1)[:, :6]


def by_numpy(x):
    return torch.from_numpy(x.detach().numpy().copy()).sin()


def reentrant(x):
    return checkpoint(torch.tanh, x, use_reentrant=True)


def coarse(x):
    return x.bfloat16().to(x.dtype)


OPERATIONS = {
    "tanh": (torch.tanh, FORWARD),
    "kink": (torch.relu, FORWARD),
    "coarse": (coarse, FORWARD),
    "distances": (lambda x: torch.cdist(x, torch.ones(6, 6, dtype=x.dtype)), None),
    "own function": (Cube.apply, REVERSE),
    "reentrant": (reentrant, DIFFERENCE),
    "regions": (regions, DIFFERENCE),
    "detached": (lambda x: x.detach().square(), DIFFERENCE),
    "partly detached": (lambda x: x + x.detach(), DIFFERENCE),
    "numpy": (by_numpy, DIFFERENCE),
}


class Between(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.one, self.operation, self.two = nn.Linear(4, 6), operation, nn.Linear(6, 3)

    def forward(self, x):
        return self.two(self.operation(self.one(x)))


def found_by(network, x, change, dtype):
    with evaluating(network):
        runs = Replay(network.to(dtype))
        [batch] = checked([(x.to(dtype), torch.zeros(len(x), dtype=torch.long))], CPU)
        runs.record(batch)
        weight = network.one.weight.detach()
        found = runs.linear_change({"one.weight": weight}, {"one.weight": change.to(dtype)})
    return found, runs.derivative(["one.weight"])


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_first_order_of_operations_that_lack_a_derivative(name):
    operation, way = OPERATIONS[name]
    torch.manual_seed(0)
    network, x, change = Between(operation), torch.randn(9, 4), torch.randn(6, 4)
    found, its_way = found_by(network, x, change, torch.float32)
    assert way in (its_way, None)
    if name == "coarse":
        expected = x @ change.T @ network.two.weight.detach().T
    else:
        network, x, change = network.double(), x.double(), change.double()
        step = 1e-6 * change
        with torch.no_grad():
            network.one.weight += step
            ahead = network(x)
            network.one.weight -= 2 * step
            expected = (ahead - network(x)) / 2e-6
    assert float((found - expected).norm() / expected.norm()) < 1e-2


def test_a_derivative_at_a_kink_is_what_torch_takes_it_for():
    network, x = Between(torch.relu), torch.randn(9, 4)
    nn.init.zeros_(network.one.weight), nn.init.zeros_(network.one.bias)
    found, way = found_by(network, x, torch.randn(6, 4), torch.float32)
    assert way == FORWARD
    assert not found.any()


def test_the_change_of_what_has_no_derivative_is_zero():
    network = nn.Sequential(nn.Linear(4, 3))
    with evaluating(network):
        runs = Replay(network)
        [batch] = checked([(torch.randn(5, 4), torch.zeros(5, dtype=torch.long))], CPU)
        runs.record(batch)
        found = runs.linear_change({}, {})
    assert found.shape == (5, 3)
    assert not found.any()


def test_a_batch_that_the_change_does_not_move_leaves_the_check_to_the_next():
    def logits_of(x):
        return lambda given: given["a"] * x.prod() + (given["a"] * x).detach()

    point, order = {"a": torch.ones(1, 3)}, FirstOrder()
    for x, expected in ((torch.zeros(3), 0.0), (torch.ones(3), 2.0)):
        logits = logits_of(x)
        found = order.of(logits, point, {"a": torch.ones(1, 3)}, logits(point))
        torch.testing.assert_close(found, torch.full((1, 3), expected), rtol=1e-4, atol=1e-4)
    assert order.way == DIFFERENCE


def test_a_batch_at_a_kink_leaves_the_check_to_the_next():
    def logits_of(x):
        return lambda given: (given["a"] - x).relu() + (given["a"] - x).detach().relu()

    point, change, order = {"a": torch.ones(1, 3)}, {"a": torch.ones(1, 3)}, FirstOrder()
    for x in (1.0, 0.5):
        found = order.of(logits_of(x), point, change, logits_of(x)(point))
    torch.testing.assert_close(found, torch.full((1, 3), 2.0), rtol=1e-4, atol=1e-4)


def test_an_operation_that_only_a_later_batch_meets():
    point, order = {"a": torch.ones(1, 3)}, FirstOrder()
    ways = []
    for operation in (torch.exp, Cube.apply):
        found = order.of(
            lambda given, operation=operation: operation(given["a"]),
            point,
            {"a": torch.ones(1, 3)},
            operation(torch.ones(1, 3)),
        )
        torch.testing.assert_close(found, torch.full((1, 3), found[0, 0]))
        ways.append(order.way)
    assert found[0, 0] == 3
    assert ways == [FORWARD, REVERSE]


def test_what_cannot_be_had_is_no_number_and_never_zero():
    def logits(given):
        raise ValueError("only this weight will do")

    order = FirstOrder()
    found = order.of(logits, {"a": torch.ones(2)}, {"a": torch.ones(2)}, torch.ones(1, 3))
    assert found.isnan().all()
    assert order.way == NONE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_chance_among_few_logits_rejects_no_derivative(dtype):
    """One example with two classes: what kinks and rounding do may cancel in a difference."""
    torch.manual_seed(1)
    layers = [part for _ in range(4) for part in (nn.Linear(16, 16), nn.ReLU())]
    network = nn.Sequential(*layers, nn.Linear(16, 2)).to(dtype)
    runs = Replay(network.eval())
    names = [name for name, weight in network.named_parameters() if weight.ndim == 2]
    changes = {name: 1e-5 * torch.randn_like(network.get_parameter(name)) for name in names}
    with torch.no_grad():
        for example in torch.randn(40, 1, 16).to(dtype):
            runs.record(Batch((example,), {}, torch.zeros(1, dtype=torch.long), 1))
            for name in names:
                point = {name: network.get_parameter(name).detach()}
                runs.linear_change(point, {name: changes[name]})
    assert {runs.derivative([name]) for name in names} == {"forward mode"}
