"""What a plan counts, with speeds that are given, and what it times itself."""

import published_studies
import pytest
import torch
from small_data import blobs

from ap3.planning import foresight, head_tuning, network_speed
from ap3.planning.line import along_a_line
from ap3.planning.network_speed import Speed
from ap3.pruning.allocation import allocate
from ap3.pruning.pruned import Origin
from ap3.study.settings import Study
from ap3.training.baseline import untrained
from ap3.training.sgd import Recipe

CPU = torch.device("cpu")


@pytest.fixture
def foreseen(monkeypatch):
    """Foresee a network of a published study, as if 10 images a second were trained, 100 passed."""
    monkeypatch.setattr(foresight, "measure_speed", lambda *given: Speed(10.0, 100.0))
    monkeypatch.setattr(foresight, "head_tuning_seconds", lambda *given: 7.0)

    def run(study: str, model: str, dataset: str = "digits") -> dict[str, tuple[int, float]]:
        found = foresight.foresee(
            published_studies.read()[study], dataset, model, blobs(40, 20), CPU
        )
        return {one.stage: (one.jobs, one.seconds) for one in found}

    return run


def test_last_layer(foreseen):
    found = foreseen("demo", "small_vgg")
    assert found.pop("covariance")[0] == 1
    # Seven epochs over 40 images; 60 images of both splits.
    assert found == {
        "baseline": (2, 28.0),
        "features": (2, 0.6),
        "finetune": (2, 7.0),
    }


def test_whole_network_is_fine_tuned(foreseen):
    found = foreseen("fashion_all", "shufflenet_v2_x0_5", "fashion-mnist")
    # Five variants: five epochs over 40 images, and six times 60 images judged.
    assert found["finetune"] == (3, pytest.approx(5 * (5 * 4.0 + 6 * 0.6)))


def test_validation_and_views(foreseen):
    study = published_studies.read()["paper"].settings
    found = foreseen("paper", "alexnet", "cifar10")
    epochs, views = study["networks"]["alexnet"]["epochs"], study["finetuning"]["views"]
    held = round(study["validation"] * 40)
    assert found["baseline"][1] == pytest.approx(epochs * ((40 - held) / 10 + held / 100))
    assert found["views"][1] == pytest.approx(views * 0.4)


def test_any_layers(foreseen):
    # 151 allocations and 3 ratios for each layer alone; no BatchNorm in this one.
    layers = 8
    passes = (151 + 3 * layers) * (20 + 40 + 3 * 40)
    assert foreseen("network", "small_alexnet")["evaluate"] == (3, pytest.approx(passes / 100))


def test_any_layers_with_batch_norm_estimated_too(foreseen):
    layers = 9
    passes = (151 + 3 * layers) * (2 * (20 + 40) + 40 + 3 * 40)
    assert foreseen("network", "small_vgg")["evaluate"] == (3, pytest.approx(passes / 100))


@pytest.mark.parametrize("how", ["uniform", "global", {"random": 3}])
def test_variants_are_those_that_are_allocated(how):
    weights = {"one": torch.randn(4, 4), "two": torch.randn(2, 4)}
    modes, ratios, alone = ["lowest"], [0.25, 0.5], [0.5]
    pruning = {"modes": modes, "ratios": ratios, "alone": alone, "allocation": how}
    made = list(allocate(weights, Origin("d", "m", 1, 0), modes, ratios, how, alone))
    counts = foresight.variants_of_network(pruning | {"layers": "all"}, len(weights))
    assert counts == (len([one for one in made if not one.alone]), 2)
    assert sum(counts) == len(made)


def test_a_step_costs_its_weights_once_whatever_the_batch():
    """Steps of 0.7 s and 0.01 s for each image: 128 images take 1.98 s."""
    asked = []

    def seconds_of(count: int) -> float:
        asked.append(count)
        return 0.7 + 0.01 * count

    assert network_speed._rate(seconds_of, 4, 128, 60_000) == pytest.approx(128 / 1.98)
    assert max(asked) == 64


def test_a_fast_network_is_timed_on_more_than_a_batch():
    asked = []

    def seconds_of(count: int) -> float:
        asked.append(count)
        return count / 100

    assert network_speed._rate(seconds_of, 4, 32, 8192) == pytest.approx(100)
    assert max(asked) == 128
    assert network_speed._rate(lambda count: 0.001, 8, 32, 20) == pytest.approx(20_000)


def test_timing_a_network_leaves_its_weights():
    data = blobs(16, 4)
    network = untrained(data, "small_resnet", 16, trial=1, seed=0)
    before = {name: one.clone() for name, one in network.model.named_parameters()}
    recipe = Recipe(epochs=9, batch_size=8, learning_rate=0.1, weight_decay=0.1)
    speed = network_speed.measure_speed(network, data, recipe, CPU)
    assert speed.trained > 0
    assert speed.passed > 0
    assert all(torch.equal(one, before[name]) for name, one in network.model.named_parameters())


@pytest.mark.parametrize("modes", [["lowest"], ["wanda"]], ids=["weights", "data"])
def test_tuning_a_head_is_timed(modes):
    study, data = published_studies.read()["demo"], blobs(16, 4)
    pruning = study.settings["pruning"] | {"modes": modes}
    blobs_too = study.settings | {"data": {"any": "blobs"}, "pruning": pruning}
    network = untrained(data, "small_vit", 16, trial=1, seed=0)
    assert head_tuning.head_tuning_seconds(Study("demo", blobs_too), network, 40, 20, CPU) > 0


def test_a_line_is_found_and_its_ends_are_never_below_zero():
    asked = []

    def seconds_of(count: int) -> float:
        asked.append(count)
        return 2.0 + 0.01 * count

    assert along_a_line(seconds_of, 4, 1000, 0.5) == pytest.approx((2.0, 0.01))
    assert asked == [4, 16]
    assert along_a_line(lambda count: 5 - 0.1 * count, 4, 16, 1.0) == (pytest.approx(3.4), 0.0)
    assert along_a_line(lambda count: 0.1 * count**2, 4, 16, 1.0)[0] == 0.0
    assert along_a_line(lambda count: 3.0, 40, 10, 1.0) == (0.0, 0.3)
