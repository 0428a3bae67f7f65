"""How long the last layer's own stages take on this machine: fine-tuning it, and measuring it."""

import io
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import torch

from ap3.files import storage
from ap3.finetuning import trajectory
from ap3.finetuning.head_scope import through_head
from ap3.measuring.covariance import make_covariance
from ap3.models.checkpoint import Checkpoint
from ap3.pruning.masks import prune_network, trained_layer
from ap3.pruning.pruned import PrunedNetwork, read_unpruned
from ap3.stages.measure import measure
from ap3.study.settings import Study
from ap3.training.features import Features
from ap3.training.sgd import Recipe
from ap3.training.splits import SPLITS, read_splits

_EPOCHS = 4
_FEW, _MORE = 512, 2048  # examples


def head_seconds(
    study: Study, network: Checkpoint, examples: int, device: torch.device
) -> dict[str, float]:
    """Foresee the seconds of stages `finetune`, in scope `head`, and `measure`, for one baseline.

    Both run on random features of few examples and of more, four epochs long. What they take grows
    with the examples along a line, and with the states of the layer, one more than epochs.

    Parameters
    ----------
    study
        Whose variants and laws these are.
    network
        A network of the study; its weights do not matter.
    examples
        How many both splits have.
    """
    identity = network.identity
    recipe = study.finetuning_recipe(identity.dataset, identity.model)
    # Some networks start with a last layer of zeros, from which no law has a scale.
    torch.nn.init.normal_(network.model.get_parameter(f"{identity.head}.weight"))
    with tempfile.TemporaryDirectory() as name, redirect_stderr(io.StringIO()):  # of their progress
        bench = _Bench(study, network, Recipe(**recipe | {"epochs": _EPOCHS}), device, Path(name))
        few, more = bench.seconds(_FEW), bench.seconds(_MORE)
    states = (recipe["epochs"] + 1) / (_EPOCHS + 1)
    return {stage: states * _on_the_line(few[stage], more[stage], examples) for stage in few}


def _on_the_line(few: float, more: float, examples: int) -> float:
    slope = max(more - few, 0.0) / (2 * (_MORE - _FEW))
    return max(more + slope * (examples - 2 * _MORE), 0.0)


class _Bench:
    """The files and settings that both stages take, in a folder of their own."""

    def __init__(
        self, study: Study, network: Checkpoint, recipe: Recipe, device: torch.device, folder: Path
    ) -> None:
        self.study, self.recipe, self.device, self.folder = study, recipe, device, folder
        self.checkpoint, self.covariance = folder / "baseline.safetensors", folder / "V.safetensors"
        network.save(self.checkpoint)
        self.baseline = read_unpruned(self.checkpoint)
        weight = self.baseline.layers[self.baseline.only_layer].weight
        self.classes, self.width = weight.shape
        # A dense V has a warning of its own, and would take minutes here.
        make_covariance(self.covariance, weight.size, "fast", seed=0)

    def seconds(self, examples: int) -> dict[str, float]:
        """Time both stages on that many examples of each split."""
        features = self._features(examples)
        networks = self._pruned(features)
        tuned, seen = self.folder / "finetuned.safetensors", Features.load(features)

        def finetune() -> None:
            given = networks, self.baseline, seen, self.recipe, self.device
            trajectory.save(tuned, through_head(*given))

        def measured() -> None:
            latent = self.study.settings["latent"]
            measure(
                tuned,
                self.checkpoint,
                features,
                self.covariance,
                self.folder / "measures.csv",
                df=latent["df"],
                groups=latent["groups"],
                examples=latent["examples"],
                monte_carlo=latent["monte_carlo"],
                law=latent["own"],
                threads=self.study.settings["threads"],
            )

        return {"finetune": _seconds(finetune), "measure": _seconds(measured)}

    def _features(self, examples: int) -> Path:
        path, draws = self.folder / "features.safetensors", np.random.default_rng(0)
        arrays = {}
        for split in SPLITS:
            arrays[split] = draws.random((examples, self.width), dtype=np.float32)
            arrays[f"{split}_labels"] = np.arange(examples) % self.classes
        storage.save(path, arrays)
        return path

    def _pruned(self, features: Path) -> list[PrunedNetwork]:
        trained = None
        if self.study.looks_at_data:
            train = read_splits(features)["train"]
            trained = trained_layer(self.baseline, train, self.study.settings["latent"]["examples"])
        return [prune_network(self.baseline, one, trained) for one in self.study.variants]


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
