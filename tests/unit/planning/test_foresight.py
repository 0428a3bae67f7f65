"""What a plan counts, with speeds that are given, and what it times itself."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import published_studies
import pytest
import torch
from small_data import blobs

from ap3.measuring.reference import Reference
from ap3.planning import foresight, head_measuring, head_tuning, network_speed
from ap3.planning.line import along_a_line
from ap3.planning.network_speed import Speed
from ap3.pruning.allocation import allocate
from ap3.pruning.pruned import Origin, PrunedNetwork
from ap3.study.settings import Study
from ap3.training.baseline import untrained
from ap3.training.sgd import Recipe
from ap3.training.splits import Split

CPU = torch.device("cpu")


def on_blobs(study: str, **changed: dict[str, Any]) -> Study:
    """Return a published study with some settings changed, whose only data set is `blobs`."""
    settings = dict(published_studies.read()[study].settings) | {"data": {"any": "blobs"}}
    return Study(study, settings | {key: settings[key] | new for key, new in changed.items()})


@pytest.fixture
def foreseen(monkeypatch):
    """Foresee a network of a published study, as if 10 images a second were trained, 100 passed."""
    monkeypatch.setattr(foresight, "measure_speed", lambda *given: Speed(10.0, 100.0))
    monkeypatch.setattr(
        foresight, "head_tuning_seconds", lambda study, variants, *given: len(variants)
    )
    measuring = {"measure": 3.0, "bounds": 2.0}

    def measured(study: Study, *given: object) -> dict[str, float]:
        return measuring | ({"draws": 5.0} if study.random_masks else {})

    monkeypatch.setattr(foresight, "measuring_seconds", measured)

    def run(study: str, model: str, dataset: str = "digits") -> dict[str, tuple[int, float]]:
        found = foresight.foresee(
            published_studies.read()[study], dataset, model, blobs(40, 20), CPU
        )
        return {one.stage: (one.jobs, one.seconds) for one in found}

    return run


def test_last_layer(foreseen):
    found = foreseen("demo", "small_vgg")
    assert found.pop("covariance")[0] == 1
    # Five epochs over 40 images; 60 images of both splits.
    assert found == {
        "baseline": (2, 20.0),
        "features": (2, 0.6),
        "finetune": (2, 10),
        "measure": (2, 3.0),
        "bounds": (2, 2.0),
    }


def test_random_masks_are_tuned_and_measured(foreseen):
    # A control and eight modes at two ratios, and a hundred masks at each of these.
    found = foreseen("masks", "small_vit")
    assert found["finetune"] == (5, 17)
    assert found["draws"] == (5, 217 + 5.0)


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
    data, pruning = blobs(16, 4), {"modes": modes, "ratios": [0.5]}
    study = on_blobs("demo", pruning=pruning)
    network = untrained(data, "small_vit", 16, trial=1, seed=0)
    assert head_tuning.head_tuning_seconds(study, study.variants, network, 40, 20, CPU) > 0


@pytest.mark.parametrize("study", ["fashion", "masks"])
def test_measuring_is_timed(study):
    study = on_blobs(study, networks={"own": {"model": "small_vit"}})
    network = untrained(blobs(16, 4), "small_vit", 16, trial=1, seed=0)
    found = head_measuring.measuring_seconds(study, network, 40, 20)
    assert [*found] == ["measure", "bounds", *(["draws"] if study.random_masks else [])]
    assert all(seconds > 0 for seconds in found.values())


@pytest.fixture
def counted(monkeypatch):
    """Measure by a clock that counts: so much for a variant, for each of its states and examples."""
    clock = [0.0]

    def seconds(work: Callable[[], object], device: torch.device) -> float:
        start = clock[0]
        work()
        return clock[0] - start

    def measures_of(reference: Reference, tuned: object, log: pd.DataFrame, *given: object) -> None:
        clock[0] += len(reference.loss.labels) * (20 + len(log))

    def bounds_of(reference: Reference, variants: list[Any], test: Split, *given: object) -> None:
        rows = len(reference.loss.labels) + len(test.labels)
        clock[0] += sum(rows * (50 + 3 * len(log)) for _, log in variants)

    class Evaluation:
        def __init__(self, reference: Reference, splits: dict[str, Split]) -> None:
            self.rows = sum(len(split.labels) for split in splits.values())

        def add(self, tuned: PrunedNetwork) -> None:
            clock[0] += self.rows * (7 + sum(len(layer.weight) for layer in tuned.layers.values()))

        def noise(self) -> None:
            clock[0] += 30 * self.rows

    monkeypatch.setattr(head_measuring, "seconds", seconds)
    monkeypatch.setattr(head_measuring, "Evaluation", Evaluation)
    monkeypatch.setattr(head_measuring, "measures_of", measures_of)
    monkeypatch.setattr(head_measuring, "bounds_of", bounds_of)


@pytest.mark.parametrize("examples", [100, None])
@pytest.mark.parametrize("train", [400, 20_000])
def test_variants_states_and_examples_are_counted(counted, train, examples):
    study = on_blobs("masks", latent={"examples": examples})
    network = untrained(blobs(16, 4), "small_vit", 16, trial=1, seed=0)
    seen, rows = examples or train, train + 12_000
    # 17 variants, each before 20 epochs and behind each; with the masks 217, in two states.
    assert head_measuring.measuring_seconds(study, network, train, 12_000) == pytest.approx(
        {
            "measure": 17 * seen * (20 + 21) + 17 * rows * (7 + 21) + 30 * rows,
            "bounds": 17 * (seen + 12_000) * (50 + 3 * 21),
            "draws": 217 * seen * (20 + 2) + 217 * rows * (7 + 2) + 30 * rows,
        }
    )


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
