"""BatchNorm's running statistics, estimated again: a network that was changed sees other activations."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ap3.models.preprocessing import View
from ap3.training.evaluation import EVALUATION_BATCH

SETTINGS = ("kept", "estimated", "both")


def norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers of batch normalisation that keep running statistics."""
    found = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    return [layer for layer in found if layer.track_running_stats]


@torch.no_grad()
def estimate(model: nn.Module, images: Tensor, view: View, device: torch.device) -> None:
    """Estimate the running statistics of `model` anew, in place, by one pass over `images`.

    They become the plain means of the batches' statistics, and nothing else of the network changes;
    dropout is off. Batches are as equal as can be. A network without BatchNorm is left alone.

    Parameters
    ----------
    model
        The network.
    images
        Training images, uint8 (N, C, H, W).
    view
        How the network looks at them.
    device
        Where the network is.
    """
    layers = norms(model)
    if not layers:
        return
    model.eval()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    for batch in images.tensor_split(-(-len(images) // EVALUATION_BATCH)):
        model(view.still(batch.to(device)))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Put the running statistics back at the end of the `with` block."""
    kept = [
        {name: buffer.clone() for name, buffer in layer.named_buffers()} for layer in norms(model)
    ]
    try:
        yield
    finally:
        for layer, buffers in zip(norms(model), kept, strict=True):
            for name, buffer in buffers.items():
                getattr(layer, name).copy_(buffer)
