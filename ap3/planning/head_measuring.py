"""How long stages `measure`, `bounds` and `draws` take to measure what was tuned, on this machine."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from ap3.config.variants import CONTROL, Variant
from ap3.latent import FastRotation, default_spectrum
from ap3.measuring.bounds import bounds_of
from ap3.measuring.head_loss import HeadLoss
from ap3.measuring.laws import BaselineLayer
from ap3.measuring.measure import measures_of
from ap3.measuring.reference import Reference
from ap3.measuring.sampling_noise import Evaluation
from ap3.models.checkpoint import Checkpoint
from ap3.models.head import linear
from ap3.planning.clock import seconds
from ap3.planning.line import along_a_line
from ap3.planning.random_features import random_split
from ap3.pruning.pruned import Origin, PrunedLayer, PrunedNetwork
from ap3.study.settings import Study

_MOST = 10_000  # examples of a split
_FEWEST = 250  # points of a Monte Carlo
_LONG_ENOUGH = 1.0  # seconds
_CPU = torch.device("cpu")  # where these stages measure


def measuring_seconds(study: Study, network: Checkpoint, train: int, test: int) -> dict[str, float]:
    """Foresee the seconds of measuring the variants of one baseline, by stage.

    One variant of a random layer is measured on random features, in one state and in a few: its time
    grows along a line with the states. Examples beyond some thousand take as long as these, each. The
    fast V stands for a dense one.

    Parameters
    ----------
    study
        Whose variants these are.
    network
        A network of the study.
    train, test
        How many examples the splits have.
    """
    seen = min(study.settings["latent"]["examples"] or train, train)
    timed = {"train": min(seen, _MOST), "test": min(test, _MOST)}
    some = sum(timed.values())
    variants, states = len(study.variants), study.settings["finetuning"]["epochs"] + 1
    with threadpool_limits(study.settings["threads"]):
        trial = _Trial(study, network, timed)
        start = seconds(trial.prepare, _CPU)
        measured = trial.cost(trial.measure).times(seen / timed["train"])
        evaluated = trial.cost(trial.evaluate).times((train + test) / some)
        noise = seconds(trial.evaluation.noise, _CPU) * (train + test) / some
        bounded = trial.cost(trial.bound).times((seen + test) / some)
        found = {
            "measure": measured.of(variants, states) + evaluated.of(variants, states),
            "bounds": bounded.of(variants, states),
        }
        found["measure"] += noise + variants * trial.monte_carlo_seconds()
    if study.random_masks:
        masked = len(study.with_random_masks)
        found["draws"] = measured.of(masked, 2) + evaluated.of(masked, 2) + noise
    return {stage: start + taken for stage, taken in found.items()}


@dataclass(frozen=True)
class _Cost:
    """Seconds that come once, with every variant, and with every state of each."""

    once: float
    variant: float
    state: float

    def times(self, factor: float) -> "_Cost":
        return _Cost(factor * self.once, factor * self.variant, factor * self.state)

    def of(self, variants: int, states: int) -> float:
        return self.once + variants * (self.variant + self.state * states)


class _Trial:
    """A random layer of the size of a network's last, random features, and variants of it."""

    def __init__(self, study: Study, network: Checkpoint, rows: dict[str, int]) -> None:
        self.study, self.identity = study, network.identity
        self.states = study.settings["finetuning"]["epochs"] + 1
        self.frozen = study.settings["finetuning"]["scope"] == "head"
        self.draws = np.random.default_rng(0)
        shape = tuple(linear(network.model, network.identity.head).weight.shape)
        self.weight = self.draws.normal(scale=0.05, size=shape).astype(np.float32)
        self.splits = {name: random_split(count, shape, self.draws) for name, count in rows.items()}

    def prepare(self) -> None:
        """Set up what the stages set up once."""
        identity, latent = self.identity, self.study.settings["latent"]
        loss = HeadLoss(self.splits["train"].features, self.splits["train"].labels)
        size = self.weight.size
        covariance = FastRotation(size, seed=0), default_spectrum(size)
        layer = BaselineLayer(
            self.weight, None, loss.features, *covariance, latent["df"], latent["groups"]
        )
        origin = Origin(identity.dataset, identity.model, identity.trial, identity.seed)
        layers = {identity.head: layer}
        self.reference = Reference.of(origin, identity.head, layers, loss, latent["own"])
        self.evaluation = Evaluation(self.reference, self.splits)

    def cost(self, work: Callable[[int], object]) -> _Cost:
        """Time `work` on a variant in few states."""

        def seconds_of(states: int) -> float:
            return seconds(lambda: work(states), _CPU)

        first = seconds_of(1)
        variant, state = along_a_line(seconds_of, 1, self.states, _LONG_ENOUGH)
        return _Cost(max(first - variant - state, 0.0), variant, state)

    def measure(self, states: int) -> None:
        """Put the measures of a variant beside its log."""
        control = self._moved(Variant(CONTROL, 0.0), states)
        measures_of(self.reference, self._pruned(states), _log(states), control, self.frozen)

    def evaluate(self, states: int) -> None:
        """Evaluate a variant on all examples."""
        self.evaluation.add(self._pruned(states))

    def bound(self, states: int) -> None:
        """Put the bounds beside the PD of a variant."""
        variants = [(self._pruned(states), _log(states))]
        bounds_of(self.reference, variants, self.splits["test"], self.frozen)

    def monte_carlo_seconds(self) -> float:
        """Seconds of the Monte Carlo estimate of one variant."""
        points = self.study.settings["latent"]["monte_carlo"]
        if not points:
            return 0.0
        law = self.reference.law("ap3_student_t")
        other = law.at(self._pruned(1).layers[self.reference.head].weight[0])

        def seconds_of(some: int) -> float:
            return seconds(lambda: law.kl_monte_carlo(other, some, self.draws), _CPU)

        fixed, each = along_a_line(seconds_of, _FEWEST, points, _LONG_ENOUGH)
        return fixed + each * points

    def _pruned(self, states: int) -> PrunedNetwork:
        return self._moved(Variant("random", 0.5), states)

    def _moved(self, variant: Variant, states: int) -> PrunedNetwork:
        """Return a variant whose weights move a little from state to state."""
        kept = self.draws.random(self.weight.shape) >= variant.ratio
        steps = self.draws.normal(scale=0.01, size=(states, *self.weight.shape)).cumsum(0)
        weight = kept * (self.weight + steps.astype(np.float32))
        layer = PrunedLayer(kept, weight, None)
        return PrunedNetwork(self.reference.origin, variant, {self.reference.head: layer})


def _log(states: int) -> pd.DataFrame:
    return pd.DataFrame({"epoch": np.arange(states), "train_pd_loss": 0.1, "test_pd_loss": 0.1})
