"""All variants of one baseline, any layers of it changed: run over the data, and measured.

A variant costs one forward pass over the images that it is judged on, and one forward-mode pass over
those that the Gauss–Newton law sees. One variant's weights, a copy of the network and one batch's
activations are in memory at a time, beside the images, the diagonal of the Fisher information (a number
per weight, found once) and a number per variant and test image.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ap3.config.seeds import derive
from ap3.datasets.images import Images
from ap3.finetuning import performance
from ap3.finetuning.network_scope import finetune_network
from ap3.finetuning.trajectory import order, seed
from ap3.latent.vectors import Vector
from ap3.machine.device import at_least_float32
from ap3.machine.progress import counted
from ap3.measuring import diagonal_fisher, network_outputs
from ap3.measuring.network_laws import NetworkLaws
from ap3.models.checkpoint import Checkpoint
from ap3.models.preprocessing import View
from ap3.pruning.allocated import Compressor
from ap3.pruning.allocation import Allocated
from ap3.pruning.network_layers import full_names, layer_weights
from ap3.pruning.pruned import Origin
from ap3.training import batch_norm
from ap3.training.evaluation import EVALUATION_BATCH, PerExample
from ap3.training.outcomes import BASELINE, Outcomes, of_network
from ap3.training.resume import Resume
from ap3.training.sgd import Recipe, naming

Row = dict[str, Any]

_DIAGONAL = "ap3_gauss_newton_diagonal"


@dataclass(frozen=True, eq=False)
class Seen:
    """One split as the network sees it: pixels (N, 3, H, W) and labels (N,) on the device."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def of(
        cls,
        images: Any,
        labels: Any,
        view: View,
        device: torch.device,
        order: torch.memory_format = torch.contiguous_format,
    ) -> "Seen":
        """Prepare uint8 images once for all variants, in the order that the network keeps."""
        parts = torch.from_numpy(np.ascontiguousarray(images)).split(EVALUATION_BATCH)
        pixels = torch.cat([view.still(part.to(device)) for part in parts])
        pixels = pixels.to(memory_format=order)
        return cls(pixels, torch.from_numpy(np.ascontiguousarray(labels)).to(device))

    @torch.no_grad()
    def logits(self, model: nn.Module) -> Tensor:
        """Run `model` in evaluation mode: (N, C), float32 or wider."""
        model.eval()
        parts = [model(some) for some in self.pixels.split(EVALUATION_BATCH)]
        return at_least_float32(torch.cat(parts))


@dataclass(eq=False)
class Measured:
    """What `Evaluator` finds of one variant, or of several.

    Attributes
    ----------
    rows
        A row per variant, epoch and state of BatchNorm.
    layers
        A row per variant, epoch and layer that changed.
    outcomes
        Of every test image, by the names of `of_network`; the baseline's under `BASELINE`.
    """

    rows: list[Row] = field(default_factory=list)
    layers: list[Row] = field(default_factory=list)
    outcomes: dict[str, Outcomes] = field(default_factory=dict)

    def add(self, other: "Measured") -> None:
        """Put those of another variant behind these."""
        self.rows += other.rows
        self.layers += other.layers
        self.outcomes |= other.outcomes

    def state(self) -> dict[str, Any]:
        """Return all of it as numbers, texts and tensors in lists and mappings."""
        outcomes = {
            name: {part: torch.from_numpy(array) for part, array in vars(one).items()}
            for name, one in self.outcomes.items()
        }
        return {"rows": self.rows, "layers": self.layers, "outcomes": outcomes}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Measured":
        """Take back what `state` returned."""
        outcomes = {
            name: Outcomes(**{part: tensor.numpy() for part, tensor in parts.items()})
            for name, parts in state["outcomes"].items()
        }
        return cls(state["rows"], state["layers"], outcomes)


class _Kept:
    """Measured variants by what they are, for a file that a later run goes on from."""

    def __init__(self) -> None:
        self.variants: dict[str, Measured] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured so far."""
        return {name: found.state() for name, found in self.variants.items()}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Put back what was measured."""
        self.variants = {name: Measured.of(found) for name, found in state.items()}


class Evaluator:
    """Measures variants of one baseline.

    Parameters
    ----------
    checkpoint
        The baseline.
    data
        What it was trained on.
    device
        Where networks run.
    names
        The layers that may be pruned.
    laws
        Their latent laws.
    examples
        Training images, drawn once for a baseline, that stand for the training split: measures that
        see data, the training PD and BatchNorm's new statistics are taken on them. All if None.
    statistics
        What becomes of BatchNorm's running statistics: `kept`, `estimated` or `both`.

    Raises
    ------
    UserError
        If the network was trained on another data set.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        data: Images,
        device: torch.device,
        names: Sequence[str],
        laws: NetworkLaws,
        examples: int | None = None,
        statistics: str = "kept",
    ) -> None:
        checkpoint.check_data(data)
        identity = checkpoint.identity
        self.origin = Origin(identity.dataset, identity.model, identity.trial, identity.seed)
        self.checkpoint, self.data, self.device, self.laws = checkpoint, data, device, laws
        self.model = copy.deepcopy(checkpoint.model).eval()
        weights = layer_weights(self.model)
        self.parameters = {name: weights[name] for name in names}
        self.baseline = {name: weight.detach().clone() for name, weight in self.parameters.items()}
        self.compressor = Compressor(self.baseline, self.origin)
        splits = data.splits
        images, labels = splits["train"]
        rows = _sample(len(labels), examples, self.origin)
        self.sample = torch.from_numpy(np.ascontiguousarray(images[rows]))
        order = _order(self.model)
        taken = {"train": (images[rows], labels[rows]), "test": splits["test"]}
        self.splits = {
            name: Seen.of(some, answers, identity.view, device, order)
            for name, (some, answers) in taken.items()
        }
        self.logits = {name: seen.logits(self.model) for name, seen in self.splits.items()}
        self.own = {
            name: PerExample.of(self.logits[name], seen.labels)
            for name, seen in self.splits.items()
        }
        self._before = {name: _array(logits) for name, logits in self.logits.items()}
        self._labels = {name: _array(seen.labels) for name, seen in self.splits.items()}
        self.unchanged = {name: laws.of_layer(name, _array(w)) for name, w in self.baseline.items()}
        has_norms = bool(batch_norm.norms(self.model))
        both = ("kept", "estimated") if statistics == "both" else (statistics,)
        self.statistics = both if has_norms else ("none",)
        self._full = full_names(self.model)

    def measure(
        self,
        variants: Sequence[Allocated],
        recipe: Recipe | None = None,
        resume: Resume | None = None,
    ) -> Measured:
        """Measure every variant, one shot and, with a recipe, after each epoch of fine-tuning.

        Parameters
        ----------
        variants
            The control among them, if it is to be measured.
        recipe
            Of fine-tuning the whole network; None leaves it out. Layers pruned alone are never
            fine-tuned.
        resume
            Where to go on from after a crash, and what to take variants from that were measured
            before. It holds those of this call in the end.
        """
        kept, resume = _Kept(), resume or Resume()
        resume.track(measured=kept)
        resume.restore()
        names = {_exactly(variant): variant for variant in variants}
        missing = {name: one for name, one in names.items() if name not in kept.variants}
        for name, variant in counted(missing.items(), "variants", len(missing)):
            found = Measured()
            with batch_norm.restored(self.model):
                masks = self._put(variant)
                self._record(found, variant, 0, masks)
                self._take_back()
            if recipe is not None and not variant.alone:
                self._tune(found, variant, recipe)
            kept.variants[name] = found
            resume.keep(len(kept.variants))
        kept.variants = {name: kept.variants[name] for name in names}
        resume.finish(len(names), "measured")
        every = Measured(outcomes={BASELINE: _of_images(self.own["test"])})
        for found in kept.variants.values():
            every.add(found)
        return every

    def _put(self, variant: Allocated) -> dict[str, Tensor]:
        """Give the network a variant's weights; returns the masks."""
        masks = {}
        with torch.no_grad():
            for name, weight, mask in self.compressor.of(variant):
                self.parameters[name].copy_(weight)
                masks[name] = mask.to(self.device)
        return masks

    @torch.no_grad()
    def _take_back(self) -> None:
        for name, weight in self.baseline.items():
            self.parameters[name].copy_(weight)

    def _tune(self, found: Measured, variant: Allocated, recipe: Recipe) -> None:
        """Fine-tune a copy of the baseline from a variant, masks held, and measure each epoch."""
        model, own_model, parameters = self.checkpoint.model, self.model, self.parameters
        self.model = copy.deepcopy(model)
        weights = layer_weights(self.model)
        self.parameters = {name: weights[name] for name in self.baseline}
        masks = self._put(variant)
        images, labels = self.data.splits["train"]
        torch.manual_seed(seed(self.origin, "dropout"))
        given = torch.from_numpy(images), torch.from_numpy(labels).to(self.device)
        view = self.checkpoint.identity.view
        name = f"{self.origin} {variant}"
        try:
            with naming(name):
                epochs = finetune_network(
                    self.model, masks, *given, view, recipe, order(self.origin)
                )
                for epoch in epochs:
                    if epoch.epoch == recipe.epochs:
                        self._record(found, variant, epoch.epoch, masks)
        finally:
            self.model, self.parameters = own_model, parameters

    def _record(
        self, found: Measured, variant: Allocated, epoch: int, masks: Mapping[str, Tensor]
    ) -> None:
        about = {
            "dataset": self.origin.dataset,
            "model": self.origin.model,
            "trial": self.origin.trial,
            "mode": variant.mode,
            "ratio": variant.ratio,
            "allocation": variant.allocation,
            "epoch": epoch,
        }
        layers = dict(self.unchanged)
        pruned = {name: int((~mask).sum()) for name, mask in masks.items()}
        for name, parameter in self.parameters.items():
            if name in masks or epoch:
                layers[name] = self._of_layer(name, parameter.detach())
                found.layers.append(
                    about
                    | {"layer": name, "weights": parameter.numel(), "pruned": pruned.get(name, 0)}
                    | {"layer_ratio": variant.ratios[name], "norm2": layers[name]["norm2"]}
                    | {key: layers[name][key] for key in ("ap2", *self.laws.columns, _DIAGONAL)}
                )
        counts = {
            "weights": sum(weight.numel() for weight in self.baseline.values()),
            "pruned": sum(pruned.values()),
        }
        diagonal = sum(layer.get(_DIAGONAL, 0.0) for layer in layers.values())
        weights = counts | self.laws.of_network(layers) | {_DIAGONAL: diagonal} | self._linear()
        # After fine-tuning the statistics are those of the training itself.
        for statistics in self.statistics if epoch == 0 else ("tuned",):
            if statistics == "estimated":
                batch_norm.estimate(
                    self.model, self.sample, self.checkpoint.identity.view, self.device
                )
            row = about | {"batch_norm": statistics} | weights
            for split, seen in self.splits.items():
                logits = seen.logits(self.model)
                made = network_outputs.changed(
                    self._before[split], _array(logits), self._labels[split]
                )
                if split == "train":
                    row |= network_outputs.output_measures(made)
                row |= {
                    f"{split}_{part}": value
                    for part, value in network_outputs.identity(made).items()
                }
                outcome = PerExample.of(logits, seen.labels)
                row |= performance.columns(split, self.own[split], outcome)
                if split == "test":
                    about_it = variant.mode, variant.ratio, variant.allocation, epoch, statistics
                    found.outcomes[of_network(*about_it)] = _of_images(outcome)
            found.rows.append(row)

    def _of_layer(self, name: str, weight: Tensor) -> dict[str, float]:
        own = diagonal_fisher.kl(self._information[self._full[name]], weight - self.baseline[name])
        return self.laws.of_layer(name, _array(weight)) | {_DIAGONAL: own}

    @cached_property
    def _information(self) -> dict[str, Tensor]:
        weights = {self._full[name]: weight for name, weight in self.baseline.items()}
        return diagonal_fisher.diagonal_fisher(
            self.checkpoint.model.eval(), self.splits["train"].pixels, weights
        )

    def _linear(self) -> dict[str, float]:
        """Return the joint Gauss–Newton law and the Taylor expansion, at the baseline."""
        changes = {
            name: self.parameters[name].detach() - weight for name, weight in self.baseline.items()
        }
        moved = [name for name, change in changes.items() if bool(change.any())]
        if not moved:
            return {"ap3_gauss_newton": 0.0, "taylor": 0.0}
        change = network_outputs.linear_change(
            self.checkpoint.model.eval(),
            self.splits["train"].pixels,
            {self._full[name]: self.baseline[name] for name in moved},
            {self._full[name]: changes[name] for name in moved},
        )
        made = network_outputs.changed(
            self._before["train"], self._before["train"] + change, self._labels["train"]
        )
        made.change[:, 0] = change  # with all its digits
        return network_outputs.gauss_newton(made)


def _exactly(variant: Allocated) -> str:
    """Tell a variant from every other of its baseline: by its name, and each layer's ratio."""
    return f"{variant} {[*variant.ratios.values()]}"


def _of_images(outcome: PerExample) -> Outcomes:
    return Outcomes(*(part[None].cpu().numpy() for part in (outcome.loss, outcome.correct)))


def _order(model: nn.Module) -> torch.memory_format:
    """Whether a network's convolutions keep their channels last in memory."""
    four = [weight for weight in model.parameters() if weight.ndim == 4 and weight.shape[1] > 1]
    last = [weight.is_contiguous(memory_format=torch.channels_last) for weight in four]
    return torch.channels_last if four and all(last) else torch.contiguous_format


def _array(tensor: Tensor) -> Vector:
    return np.asarray(tensor.detach().cpu())


def _sample(count: int, examples: int | None, origin: Origin) -> Any:
    """Draw which of `count` examples to take, in their order."""
    if examples is None or examples >= count:
        return slice(None)
    drawn = derive(origin.seed, origin.dataset, origin.model, origin.trial, "examples")
    return np.sort(np.random.default_rng(drawn).choice(count, examples, replace=False))
