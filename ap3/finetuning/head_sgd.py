"""SGD with momentum, annealed, for the last layers: torch's own update without its optimiser."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from ap3.training.sgd import Recipe


class HeadSGD:
    """Does what `ap3.training.sgd.optimise` makes do, up to rounding, and starts sooner.

    The first `torch.optim.Optimizer` of a process imports torch's compiler, which takes as long as
    all that a head stage imports besides.
    """

    def __init__(self, parameters: list[Tensor], recipe: Recipe) -> None:
        self.parameters, self.recipe = parameters, recipe
        self.momenta = [torch.zeros_like(parameter) for parameter in parameters]

    def learning_rate(self, epoch: int) -> float:
        """Return the rate in an epoch, counted from 0: half a cosine over all epochs.

        Examples
        --------
        >>> descent = HeadSGD([], Recipe(epochs=4, batch_size=1, learning_rate=0.1))
        >>> [round(descent.learning_rate(epoch), 4) for epoch in range(4)]
        [0.1, 0.0854, 0.05, 0.0146]
        """
        return self.recipe.learning_rate * (1 + math.cos(math.pi * epoch / self.recipe.epochs)) / 2

    @torch.no_grad()
    def step(self, epoch: int) -> None:
        """Change the parameters by their gradients."""
        sgd(
            self.parameters,
            [parameter.grad for parameter in self.parameters if parameter.grad is not None],
            list(self.momenta),
            fused=False,  # the fused update rounds an element by where in the tensor it stands
            lr=self.learning_rate(epoch),
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
            dampening=0,
            nesterov=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the momenta."""
        return {"momenta": self.momenta}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Put the momenta back."""
        for momentum, kept in zip(self.momenta, state["momenta"], strict=True):
            momentum.copy_(kept)
