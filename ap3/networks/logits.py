"""One call of a network in evaluation mode, its weights changed for the call; what it puts out, checked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ap3.errors import InvalidValueError, UserError
from ap3.machine.device import at_least_float32
from ap3.networks import outputs
from ap3.networks.batches import Batch
from ap3.networks.functional import functional_call

Tensors = Mapping[str, Tensor]


def device_of(network: nn.Module) -> torch.device:
    """Return where the first parameter or buffer of a network lies.

    Examples
    --------
    >>> device_of(nn.Linear(1, 1))
    device(type='cpu')
    """
    for tensor in (*network.parameters(), *network.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, without gradients, for the length of a `with` block.

    Every module's own mode is put back, and what modules compute from their parameters at each call
    and hold, such as a masked weight: the last call may have been with others. Attention and LSTMs are
    computed in the way that has a forward-mode derivative, so that all numbers of one analysis come from
    one way.

    Examples
    --------
    >>> network = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout()).train()
    >>> _ = network[1].eval()
    >>> with evaluating(network):
    ...     network[0].training, torch.is_grad_enabled()
    (False, False)
    >>> network[0].training, network[1].training, torch.is_grad_enabled()
    (True, False, True)
    """
    modes = [(module, module.training) for module in network.modules()]
    computed = [
        (module, name, tensor)
        for module in network.modules()
        for name, tensor in module.__dict__.items()
        if isinstance(tensor, Tensor)
    ]
    onednn: Any = torch.backends.mkldnn
    fast, uses_onednn = torch.backends.mha.get_fastpath_enabled(), onednn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    if any(isinstance(module, nn.LSTM) for module in network.modules()):
        onednn.enabled = False
    try:
        network.eval()
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        onednn.enabled = uses_onednn
        for module, mode in modes:
            module.training = mode
        for module, name, tensor in computed:
            module.__dict__[name] = tensor


def call(network: nn.Module, batch: Batch, changed: Tensors | None = None) -> Tensor:
    """Return the logits (N, C) of a batch, float32 or wider, unchecked.

    Parameters
    ----------
    network
        In evaluation mode.
    batch
        What it sees.
    changed
        Parameters and buffers that other tensors stand for in this call, by their full names.
    """
    found: Any = functional_call(network, changed or {}, batch.inputs, batch.named)
    return at_least_float32(outputs.tensor_of(found))


def first_logits(network: nn.Module, batch: Batch) -> Tensor:
    """Return the logits of a batch as `call`, and look whether they are logits of these labels.

    Raises
    ------
    UserError
        If the network refuses the batch, or puts out no finite logits, or probabilities, or other
        classes than the labels name.
    """
    try:
        logits = call(network, batch)
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a network objects to, in its own way
        raise InvalidValueError(
            f"the network refuses batch {batch.number}, {batch.shape}: "
            f"{_first_line(error)}{_hint(network, batch)}"
        ) from error
    outputs.check_shape(logits, len(batch.labels))
    if not bool(logits.isfinite().all()):
        raise InvalidValueError(
            f"the network's logits for batch {batch.number} are NaN or infinite; look for a diverged "
            "training, or inputs that are not normalised."
        )
    outputs.check_no_probabilities(logits)
    _check_classes(batch, logits.shape[1])
    return logits


def _check_classes(batch: Batch, classes: int) -> None:
    low, high = int(batch.labels.min()), int(batch.labels.max())
    if low < 0 or high >= classes:
        hint = "; number the classes from 0" if low > 0 and high == classes else ""
        raise InvalidValueError(
            f"the labels must be 0 to {classes - 1}, as the network has {classes} outputs, but batch "
            f"{batch.number} has {low if low < 0 else high}{hint}."
        )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())[:200] or type(error).__name__


def _hint(network: nn.Module, batch: Batch) -> str:
    """End the sentence with what may be meant, where the inputs look like images."""
    first = batch.inputs[0] if batch.inputs else None
    convolution = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if not isinstance(first, Tensor) or convolution is None:
        return "."
    if not first.is_floating_point():
        return "; give floating-point images, scaled and normalised as in training."
    wanted = convolution.in_channels
    if first.ndim == 4 and first.shape[1] != wanted:
        if first.shape[3] == wanted:
            return "; the channels come last: give images.permute(0, 3, 1, 2)."
        return f"; give images of {wanted} channel{'s' * (wanted > 1)}, (N, {wanted}, H, W)."
    return "."
