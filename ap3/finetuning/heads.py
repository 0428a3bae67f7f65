"""The last layers of all variants of a baseline, trained together in batched products.

The network below them is frozen, so every variant sees the same features, in the same order, with
its own mask held. The bias is fine-tuned too, and is no part of AP2 or AP3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ap3.finetuning.head_sgd import HeadSGD
from ap3.machine.device import resident, take
from ap3.machine.memory import Pieces
from ap3.training.features import Views
from ap3.training.resume import Draws, Resume
from ap3.training.sgd import Recipe, shuffled_batches

_CACHE_LINE = 16  # numbers of four bytes in 64 bytes


@dataclass(frozen=True, eq=False)
class Heads:
    """The last layers of `V` variants: `weight` (V, classes, d) and `bias` (V, classes)."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Apply every layer to `features` (N, d); returns (V, N, classes).

        The bits of a variant's result do not depend on how many others there are: each has a
        product of its own, from weights that start at a cache line. With the weights on the left
        their gradient comes out in their own layout, several times as fast as transposed.
        """
        weight, features = _one_a_thread(_aligned(self.weight)), _aligned(features)
        shared = features.T.expand(len(weight), -1, -1)
        products = torch.bmm(weight, shared)[: len(self.weight)]
        return (products + self.bias[..., None]).transpose(1, 2)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the layers by name."""
        return {"weight": self.weight, "bias": self.bias}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor], /) -> None:
        """Put the layers back as they were."""
        self.weight.copy_(state["weight"])
        self.bias.copy_(state["bias"])

    def of_variant(self, index: int) -> dict[str, Tensor]:
        """Take one variant's layer out of those of many."""
        return {"weight": self.weight[index], "bias": self.bias[index]}

    def snapshot(self) -> "Heads":
        """Copy the layers as they are now."""
        return Heads(self.weight.detach().clone(), self.bias.detach().clone())


def _aligned(tensor: Tensor) -> Tensor:
    """Pad the last dimension with zeros to whole cache lines, which matrix products round alike."""
    missing = -tensor.shape[-1] % _CACHE_LINE
    return F.pad(tensor, (0, missing)) if missing else tensor


def _one_a_thread(weight: Tensor) -> Tensor:
    """Repeat layers so that the CPU's threads share no product out, which would round it anew."""
    count = torch.get_num_threads() if weight.device.type == "cpu" else 1
    if count <= len(weight):
        return weight
    return weight[torch.arange(count) % len(weight)]


def finetune_heads(
    heads: Heads,
    masks: Tensor,
    views: Views,
    labels: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    resume: Resume | None = None,
) -> Iterator[Heads]:
    """Train the last layers of all variants on features of the frozen trunk.

    Parameters
    ----------
    heads
        Where the variants start; not changed.
    masks
        (V, classes, d), 1 where a weight is kept and 0 where it is pruned.
    views
        Features, each (N, d), of any type and on any device; epoch t learns from view (t − 1)
        modulo their number.
    labels
        (N,), on the device of the heads.
    generator
        On the CPU; draws the order of the examples, which all variants share.
    resume
        Where to go on from; what the caller changes at each epoch is tracked there already.

    Yields
    ------
    Heads
        A copy after each epoch. Pruned weights are exactly zero in all of them.
    """
    weight = (heads.weight * masks).requires_grad_()
    bias = heads.bias.clone().requires_grad_()
    layers = Heads(weight, bias)
    descent = HeadSGD([weight, bias], recipe)
    resume = resume or Resume()
    resume.track(heads=layers, descent=descent, draws=Draws(generator, labels.device))
    pieces = Pieces("in fine-tuning the last layers")
    for epoch in range(resume.restore(), recipe.epochs):
        features = _aligned(views[epoch % len(views)].to(weight.dtype))
        features = resident(features, labels.device)
        for batch in shuffled_batches(len(labels), recipe.batch_size, generator):
            seen, answers = (take(rows, batch, labels.device) for rows in (features, labels))
            pieces.fit(partial(_differentiate, layers, seen, answers), len(batch))
            cast(Tensor, weight.grad).mul_(masks)
            descent.step(epoch)
        yield layers.snapshot()
        resume.keep(epoch + 1)


def _differentiate(layers: Heads, features: Tensor, labels: Tensor, pieces: int) -> None:
    """Give every variant the gradient of its own mean cross-entropy over a batch."""
    layers.weight.grad = layers.bias.grad = None
    parts = zip(features.tensor_split(pieces), labels.tensor_split(pieces), strict=True)
    for some, answers in parts:
        (_sum_of_losses(layers.logits(some), answers) / len(labels)).backward()


def _sum_of_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Add up the cross-entropies of all variants and examples."""
    variants, count, classes = logits.shape
    targets = labels.expand(variants, count).reshape(-1)
    return F.cross_entropy(logits.reshape(-1, classes), targets, reduction="sum")
