import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from ap3.errors import InvalidTypeError, InvalidValueError
from ap3.models.registry import build
from ap3.networks.batches import checked
from ap3.networks.logits import evaluating
from ap3.networks.replay import Replay
from ap3.pruning.network_layers import layer_weights

CPU = torch.device("cpu")


def batches(shape, classes=5, count=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype),
            torch.randint(classes, shape[:1], generator=generator),
        )
        for _ in range(count)
    ]


class TiedInTheMiddle(nn.Module):
    """Uses its first layer's weight again, in a way that no module tells of."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        x = F.linear(self.one(x), self.three.weight[:, :].repeat(2, 1)[:4])
        return self.three(self.two(x).relu_())


class Recurrent(nn.Module):
    """Calls one module several times, and returns pairs from a part."""

    def __init__(self):
        super().__init__()
        self.cell, self.act = nn.GRU(4, 4, batch_first=True), nn.ReLU(inplace=True)
        self.step, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        x, _ = self.cell(x[:, None].expand(-1, 3, -1))
        x = self.step(x[:, -1])
        return self.head(self.act(self.step(self.act(x)) + x))


class TiedTable(nn.Module):
    """Looks words up in its head's weight, which no module tells of."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 8)

    def forward(self, words):
        return self.head(self.body(F.embedding(words, self.head.weight)))


class Expert(nn.Module):
    """Calls a layer only where an example is large, and uses its weight once more."""

    def __init__(self):
        super().__init__()
        self.body, self.one, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        if x.max() > 10:
            x = self.one(self.body(F.linear(x, self.one.weight)))
        return self.head(x)


NETWORKS = {
    "resnet18": (lambda: build("resnet18", 5, 32), (3, 3, 32, 32)),
    "small_vgg": (lambda: build("small_vgg", 5, 16), (3, 3, 16, 16)),
    "small_resnet": (lambda: build("small_resnet", 5, 16), (3, 3, 16, 16)),
    "small_vit": (lambda: build("small_vit", 5, 16), (3, 3, 16, 16)),
    "shufflenet": (lambda: build("shufflenet_v2_x0_5", 5, 32), (3, 3, 32, 32)),
    "hidden tie": (TiedInTheMiddle, (6, 4)),
    "recurrent": (Recurrent, (6, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_changed_alone_gives_what_the_whole_network_gives(name):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = make().double().train()
    weights = {key: value for key, value in network.named_parameters() if value.ndim > 1}
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with evaluating(network):
        runs = Replay(network)
        for batch in checked(batches(shape, 3, dtype=torch.float64), CPU):
            torch.testing.assert_close(
                runs.record(batch), network(*batch.inputs), rtol=0, atol=1e-12
            )
            for key, weight in weights.items():
                changed = {key: weight * 0.5}
                whole = functional_call(network, changed, batch.inputs)
                torch.testing.assert_close(runs.call(changed), whole, rtol=0, atol=1e-12)
    assert network.training
    assert not any("forward" in module.__dict__ for module in network.modules())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in network.modules()
    )
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


class Unrolled(nn.Module):
    """Calls its cell once for each step, and then changes in place what a layer returned."""

    def __init__(self):
        super().__init__()
        self.cell, self.one = nn.GRUCell(4, 6), nn.Linear(6, 6)
        self.two, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        state = x.new_zeros(len(x), 6)
        for step in x.unbind(1):
            state = self.cell(step, state)
        state = self.one(state)
        state += self.two(state)
        return self.head(state)


@pytest.mark.parametrize("lengths", [(4, 7, 5), (7, 4)])
def test_what_is_changed_in_place_is_found_whatever_the_number_of_calls_before(lengths):
    torch.manual_seed(0)
    network = Unrolled().double()
    weight = network.head.weight.detach()
    with evaluating(network):
        runs = Replay(network)
        for length in lengths:
            data = batches((5, length, 4), 3, 1, torch.float64)
            [batch] = checked(data, CPU)
            runs.record(batch)
            whole = functional_call(network, {"head.weight": weight / 2}, batch.inputs)
            for _ in range(2):
                torch.testing.assert_close(runs.call({"head.weight": weight / 2}), whole)
            found = runs.linear_change({"head.weight": weight}, {"head.weight": -weight / 2})
            torch.testing.assert_close(found, whole - network(*batch.inputs))


def without(weight, rows):
    return weight.detach().index_fill(0, torch.tensor(rows), 0.0)


def test_a_change_that_one_use_does_not_see_settles_nothing():
    torch.manual_seed(0)
    words = [torch.zeros(3, dtype=torch.long), torch.arange(3)]
    network = TiedTable()
    changed = {"head.weight": without(network.head.weight, [2])}
    with evaluating(network):
        runs = Replay(network)
        for batch in checked([(some, [0, 1, 2]) for some in words], CPU):
            runs.record(batch)
            whole = functional_call(network, changed, batch.inputs)
            torch.testing.assert_close(runs.call(changed), whole)


def test_weights_that_a_batch_does_not_use_settle_nothing():
    torch.manual_seed(0)
    network = Expert()
    x = torch.randn(3, 4)
    changed = {"one.weight": without(network.one.weight, [0, 1])}
    with evaluating(network):
        runs = Replay(network)
        for batch in checked([(x, [0, 1, 2]), (x + 20, [0, 1, 2])], CPU):
            runs.record(batch)
            whole = functional_call(network, changed, batch.inputs)
            torch.testing.assert_close(runs.call(changed), whole)


def test_a_change_of_nothing_settles_nothing():
    torch.manual_seed(0)
    network = TiedInTheMiddle()
    with evaluating(network):
        runs = Replay(network)
        [batch] = checked(batches((3, 4), 3, 1), CPU)
        runs.record(batch)
        for factor in (1.0, 0.5):
            changed = {"three.weight": network.three.weight * factor}
            whole = functional_call(network, changed, batch.inputs)
            torch.testing.assert_close(runs.call(changed), whole)


class Counted(nn.Linear):
    calls = 0

    def forward(self, x):
        Counted.calls += 1
        return super().forward(x)


def test_only_what_follows_a_changed_layer_is_computed():
    network = nn.Sequential(*(Counted(4, 4) for _ in range(5))).double()
    counts = []
    with evaluating(network):
        runs = Replay(network)
        for batch in checked(batches((3, 4), 4, dtype=torch.float64), CPU):
            runs.record(batch)
            Counted.calls = 0
            runs.call({"3.weight": network[3].weight * 2})
            counts.append(Counted.calls)
    assert counts == [2 + 5 + 2, 2]  # the first batch tries both ways


@pytest.mark.parametrize("name", ["small_resnet", "small_vit", "hidden tie", "small_vgg"])
def test_the_first_order_is_the_jacobian_times_the_change(name):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = make().double()
    for value in network.parameters():
        if value.ndim == 1:  # no activation is exactly zero, where ReLU has no derivative
            value.data += 0.1 * torch.randn_like(value)
    names = [key for key, value in network.named_parameters() if value.ndim > 1]
    weights = {key: network.get_parameter(key).detach() for key in names}
    changes = {key: 0.1 * torch.randn_like(weight) for key, weight in weights.items()}
    with evaluating(network):
        runs = Replay(network)
        [batch] = checked(batches(shape, 3, 1, torch.float64), CPU)
        runs.record(batch)
        total = runs.linear_change(weights, changes)
        single = [runs.linear_change({key: weights[key]}, {key: changes[key]}) for key in names]
    torch.testing.assert_close(sum(single), total, rtol=1e-10, atol=1e-12)

    def moved(step):
        given = {key: weights[key] + step * changes[key] for key in names}
        network.eval()
        with torch.no_grad():
            return functional_call(network, given, batch.inputs)

    h = 1e-7  # so small that no ReLU switches on the way
    difference = (moved(h) - moved(-h)) / (2 * h)
    torch.testing.assert_close(difference, total, rtol=1e-6, atol=1e-7)


def test_the_dense_jacobian_gives_the_same_first_order():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    weight, change = network[0].weight.detach(), torch.randn(5, 4, dtype=torch.float64)
    with evaluating(network):
        runs = Replay(network)
        [batch] = checked(batches((6, 4), 3, 1, torch.float64), CPU)
        runs.record(batch)
        found = runs.linear_change({"0.weight": weight}, {"0.weight": change})
    jacobian = torch.func.jacrev(lambda w: functional_call(network, {"0.weight": w}, batch.inputs))(
        weight
    )
    expected = torch.einsum("ncij,ij->nc", jacobian, change)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def record(network, given, labels):
    with evaluating(network):
        [batch] = checked([(given, labels)], CPU)
        return Replay(network).record(batch)


class TwoHeads(nn.Module):
    def forward(self, x):
        return x, x


CONVOLUTION = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(3))
CONVOLUTION(torch.zeros(1, 3, 8, 8))
IMAGES = torch.rand(4, 3, 8, 8)

MISTAKES = {
    "two heads": (TwoHeads(), IMAGES, [0, 1, 2, 0], "a tuple of 2; wrap it"),
    "channels last": (CONVOLUTION, IMAGES.permute(0, 2, 3, 1), [0, 1, 2, 0], "permute"),
    "one channel": (CONVOLUTION, IMAGES[:, :1], [0, 1, 2, 0], "images of 3 channels"),
    "bytes": (CONVOLUTION, (IMAGES * 255).byte(), [0, 1, 2, 0], "floating-point images"),
    "labels from 1": (
        CONVOLUTION,
        IMAGES,
        [1, 2, 3, 1],
        "batch 1 has 3; number the classes from 0",
    ),
    "a label below": (CONVOLUTION, IMAGES, [1, -1, 2, 1], "batch 1 has -1."),
    "probabilities": (
        nn.Sequential(CONVOLUTION, nn.Softmax(1)),
        IMAGES,
        [0, 1, 2, 0],
        "take the softmax off",
    ),
    "no logits": (nn.Identity(), IMAGES, [0, 1, 2, 0], r"but returned shape \(4, 3, 8, 8\)"),
    "not a number": (CONVOLUTION, IMAGES * float("nan"), [0, 1, 2, 0], "NaN or infinite"),
    "labels missing": (CONVOLUTION, IMAGES, [0, 1], "4 examples and 2 labels"),
    "soft labels": (CONVOLUTION, IMAGES, torch.rand(4, 3), "whole numbers of shape"),
    "float labels": (CONVOLUTION, IMAGES, torch.rand(4), "whole numbers of shape"),
    "words": (CONVOLUTION, IMAGES, ["a", "b", "c", "d"], "whole numbers, but are a list of 4"),
    "lists": (CONVOLUTION, IMAGES.tolist(), [0, 1, 2, 0], "a list of 4; stack the examples"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_in_one_sentence(name):
    *given, sentence = MISTAKES[name]
    with pytest.raises((InvalidValueError, InvalidTypeError), match=sentence) as caught:
        record(*given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "there are none"),
        ({"a": 1}, "an iterable of .input, label. pairs, but are a dict"),
        ([torch.zeros(3)], "batch 1 is float32 of shape"),
        ([(1, 2, 3)], "a tuple of 3"),
    ],
)
def test_batches_that_are_none(given, sentence):
    with pytest.raises((InvalidValueError, InvalidTypeError), match=sentence):
        list(checked(given, CPU))


def test_log_softmax_frozen_parameters_and_a_batch_of_one_are_no_mistakes():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 3), nn.LogSoftmax(1))
    network.requires_grad_(False)
    found = record(network.train(), np.ones((1, 3, 2, 2), np.float32), [2])
    assert found.shape == (1, 3)
    assert network.training


def test_inputs_by_name_and_outputs_with_logits():
    class Output:
        def __init__(self, logits):
            self.logits = logits

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 3)

        def forward(self, pixel_values, mask=None):
            return Output(self.fc(pixel_values * mask))

    network, x = Named(), torch.rand(5, 2)
    found = record(network, {"pixel_values": x, "mask": torch.ones(5, 2)}, [0, 1, 2, 0, 1])
    assert torch.equal(found, network.fc(x))
    assert list(layer_weights(network)) == ["fc"]
