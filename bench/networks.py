"""Networks as the measurements take them."""

import torch
from torch import nn

from ap3.models.registry import build


def untrained(model: str, classes: int, size: int, seed: int = 0) -> nn.Module:
    """Build a network with random weights, the same ones at every call with one seed."""
    torch.manual_seed(seed)
    return build(model, classes, size)
