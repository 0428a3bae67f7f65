"""Callbacks that log true sparsity, AP2 and AP3 of every layer while a network is trained.

Distances are from the weights at the beginning, or from a baseline that is given. Masks of
`torch.nn.utils.prune` are multiplied in, so that the sparsity is that of the weights in use.

Neither library is imported before its callback is made.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ap3.comparing.layer_names import aligned, layer_of
from ap3.diagnosing import outside
from ap3.diagnosing.layer_laws import LayerLaws, columns
from ap3.errors import InvalidValueError, MissingPackageError
from ap3.files.lazy_tensors import Entry, StateDict
from ap3.files.safe_names import listed
from ap3.files.wrappings import unwrapped

Logged = dict[str, float]

_ORIGINAL = "_orig"


class WeightLog:
    """Measures a network's layers against a baseline: what both callbacks log.

    Parameters
    ----------
    baseline
        State dict that distances are from; the weights at the first look if None. A prefix that
        stands before all names of one of the two, the baseline or the network, may be there.

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
        self._given = None if baseline is None else _weights_of(baseline)
        self._baseline: dict[str, Tensor] = {}
        self._laws: dict[str, LayerLaws] = {}

    def begin(self, network: nn.Module) -> None:
        """Take a first look: find every layer's baseline, and warn of what is not logged.

        Parameters
        ----------
        network
            That is going to be trained.

        Raises
        ------
        UserError
            If the network has no layer, or the baseline has none of its layers.
        """
        now = _weights_of(network.state_dict())
        if not now:
            raise InvalidValueError(
                f"{type(network).__name__} has no layer to log (no tensor called weight of two "
                f"dimensions or more; it has {listed(outside.outside(network)) or 'none of another name'});"
                " train it without this callback."
            )
        if self._given is None:
            self._given = {name: weight.clone() for name, weight in now.items()}
        self._baseline, self._laws = _matched(self._given, now), {}
        if not self._baseline:
            raise InvalidValueError(
                "the callback logs layers of the network that are in the baseline, but there are none "
                f"(the network has {_listed(now)}; the baseline has {_listed(self._given)}); give the "
                "state dict of a network of the same architecture."
            )
        lacking = [name for name in now if name not in self._baseline]
        if lacking:
            warnings.warn(
                f"the baseline lacks {_listed(lacking)}, or has other shapes there; nothing is logged "
                "of them, and the network's numbers leave them out.",
                stacklevel=2,
            )
        for remark in outside.remarks(network, "are not logged"):
            warnings.warn(remark, stacklevel=2)

    def of(self, network: nn.Module) -> Logged:
        """Return numbers by name: `ap3/LAYER/ap2`, and the network's under `ap3/ap2`.

        Parameters
        ----------
        network
            In training.
        """
        if not self._baseline:
            self.begin(network)
        found: Logged = {}
        total, zeros, sums = 0, 0, dict.fromkeys(columns(), 0.0)
        for name, weight in _weights_of(network.state_dict()).items():
            if name not in self._baseline:
                continue
            gone = int((weight == 0).sum())
            total, zeros = total + weight.numel(), zeros + gone
            found[f"ap3/{layer_of(name)}/sparsity"] = gone / weight.numel()
            for column, value in self._measured(name, weight).items():
                found[f"ap3/{layer_of(name)}/{column}"] = value
                sums[column] += value
        found["ap3/sparsity"] = zeros / total if total else np.nan
        return found | {f"ap3/{column}": value for column, value in sums.items()}

    def _measured(self, name: str, weight: Tensor) -> dict[str, float]:
        """Measure one layer; NaN where it diverged, which is no reason to stop a training."""
        if not all(bool(each.isfinite().all()) for each in (weight, self._baseline[name])):
            return dict.fromkeys(columns(), np.nan)
        if name not in self._laws:
            self._laws[name] = LayerLaws(self._baseline[name])
        return self._laws[name].of(weight)


def _weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Find the layers' weights in a state dict, masks multiplied in, each memory once."""
    found: dict[str, Tensor] = {}
    seen: set[Any] = set()
    for name, tensor in state.items():
        whole = name.removesuffix(_ORIGINAL)
        is_weight = "weight" in whole.rpartition(".")[2] and not name.endswith("_mask")
        is_layer = is_weight and tensor.ndim >= 2 and tensor.numel() > 0
        if not is_layer or not tensor.is_floating_point():
            continue
        place = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if place in seen:
            continue
        seen.add(place)
        weight = tensor.detach()
        mask = state.get(f"{whole}_mask") if name.endswith(_ORIGINAL) else None
        weight = weight if mask is None else torch.where(mask != 0, weight, 0.0)
        found[whole] = weight.cpu()
    return found


def _matched(baseline: dict[str, Tensor], now: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the baseline's weights by their names in the network, prefixes of either aside."""
    one, two, _ = aligned(*(StateDict(unwrapped(_entries(state))) for state in (baseline, now)))
    # Taking prefixes off keeps the order.
    weights = dict(zip(one, baseline.values(), strict=True))
    return {
        name: weights[bare]
        for (name, weight), bare in zip(now.items(), two, strict=True)
        if bare in weights and weights[bare].shape == weight.shape
    }


def _entries(state: dict[str, Tensor]) -> dict[str, Entry]:
    return dict(StateDict.of(state).entries)


def _listed(names: Iterable[str]) -> str:
    return listed([layer_of(name) for name in names]) or "none"


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
        log.begin(module)

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
        log.begin(model)

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
