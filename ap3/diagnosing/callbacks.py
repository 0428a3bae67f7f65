"""Callbacks that log true sparsity, AP2 and AP3 of every layer while a network is trained.

Distances are from the weights at the beginning, or from a baseline that is given. Masks of
`torch.nn.utils.prune` are multiplied in, so that the sparsity is that of the weights in use.

Neither library is imported before its callback is made.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ap3.diagnosing.layer_laws import LayerLaws, columns
from ap3.errors import MissingPackageError

Logged = dict[str, float]

_ORIGINAL = "_orig"


class WeightLog:
    """Measures a network's layers against a baseline: what both callbacks log.

    Parameters
    ----------
    baseline
        State dict that distances are from; the weights at the first look if None.

    Examples
    --------
    >>> from torch.nn.utils import prune
    >>> network, log = nn.Sequential(nn.Linear(4, 2)), WeightLog()
    >>> log.of(network)["ap3/sparsity"]
    0.0
    >>> _ = prune.l1_unstructured(network[0], "weight", 6)
    >>> found = log.of(network)
    >>> found["ap3/sparsity"], found["ap3/0/sparsity"], found["ap3/ap2"] == found["ap3/0/ap2"]
    (0.75, 0.75, True)
    """

    def __init__(self, baseline: Mapping[str, Tensor] | None = None) -> None:
        self.baseline = None if baseline is None else _layers_of(baseline)
        self._laws: dict[str, LayerLaws] = {}

    def of(self, network: nn.Module) -> Logged:
        """Return numbers by name: `ap3/LAYER/ap2`, and the network's under `ap3/ap2`.

        Parameters
        ----------
        network
            In training.
        """
        now = _layers_of(network.state_dict())
        if self.baseline is None:
            self.baseline = {layer: weight.clone() for layer, weight in now.items()}
        found: Logged = {}
        total, zeros, sums = 0, 0, dict.fromkeys(columns(), 0.0)
        for layer, weight in now.items():
            if layer not in self.baseline or self.baseline[layer].shape != weight.shape:
                continue
            laws = self._laws.setdefault(layer, LayerLaws(self.baseline[layer]))
            gone = int((weight == 0).sum())
            total, zeros = total + weight.numel(), zeros + gone
            found[f"ap3/{layer}/sparsity"] = gone / weight.numel()
            for name, value in laws.of(weight).items():
                found[f"ap3/{layer}/{name}"] = value
                sums[name] += value
        found["ap3/sparsity"] = zeros / total if total else np.nan
        return found | {f"ap3/{name}": value for name, value in sums.items()}


def _layers_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Find the layers' weights in a state dict, masks multiplied in, each memory once."""
    found: dict[str, Tensor] = {}
    seen: set[Any] = set()
    for name, tensor in state.items():
        whole = name.removesuffix(_ORIGINAL)
        is_weight = "weight" in whole.rpartition(".")[2] and not name.endswith("_mask")
        if not is_weight or tensor.ndim < 2 or not tensor.is_floating_point():
            continue
        place = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if place in seen:
            continue
        seen.add(place)
        weight = tensor.detach()
        mask = state.get(f"{whole}_mask") if name.endswith(_ORIGINAL) else None
        weight = weight if mask is None else torch.where(mask != 0, weight, 0.0)
        found[whole.removesuffix(".weight")] = weight.cpu()
    return found


def lightning_callback(baseline: Mapping[str, Tensor] | None = None, every: int = 1) -> Any:
    """Make a callback for Lightning's `Trainer`: logs at the end of every epoch of training.

    Parameters
    ----------
    baseline
        State dict that distances are from; the weights when training begins if None.
    every
        So many epochs.

    Raises
    ------
    UserError
        If neither `lightning` nor `pytorch_lightning` is installed.
    """
    base = _imported("lightning.pytorch", "pytorch_lightning", attribute="Callback")
    log = WeightLog(baseline)

    def on_fit_start(self: Any, trainer: Any, module: Any) -> None:
        log.of(module)

    def on_train_epoch_end(self: Any, trainer: Any, module: Any) -> None:
        if (trainer.current_epoch + 1) % every == 0:
            module.log_dict(log.of(module), rank_zero_only=True)

    return _of(base, on_fit_start=on_fit_start, on_train_epoch_end=on_train_epoch_end)


def hugging_face_callback(trainer: Any, baseline: Mapping[str, Tensor] | None = None) -> Any:
    """Make a callback for Hugging Face's `Trainer`: logs whenever the trainer logs its loss.

    It logs by way of the trainer, since what a callback adds to numbers that are being logged comes too
    late for the loggers before it.

    Parameters
    ----------
    trainer
        That the callback is added to.
    baseline
        State dict that distances are from; the weights when training begins if None.

    Raises
    ------
    UserError
        If `transformers` is not installed.
    """
    base = _imported("transformers", attribute="TrainerCallback")
    log = WeightLog(baseline)

    def on_train_begin(
        self: Any, args: Any, state: Any, control: Any, model: Any = None, **more: Any
    ) -> None:
        log.of(model)

    def on_log(
        self: Any,
        args: Any,
        state: Any,
        control: Any,
        logs: Any = None,
        model: Any = None,
        **more: Any,
    ) -> None:
        if state.is_world_process_zero and "loss" in (logs or ()):
            trainer.log(log.of(model))

    return _of(base, on_train_begin=on_train_begin, on_log=on_log)


def _of(base: type, **methods: Callable[..., None]) -> Any:
    return type("WeightCallback", (base,), methods)()


def _imported(*modules: str, attribute: str) -> Any:
    from importlib import import_module

    for name in modules:
        try:
            return getattr(import_module(name), attribute)
        except ImportError:
            continue
    raise MissingPackageError(
        f"this callback needs {modules[0].partition('.')[0]}; install it into the environment."
    )
