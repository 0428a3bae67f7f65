"""A bound on the performance difference through the layers: what Theorem 3.5 can honestly be.

Theorem 3.5 bounds PD by an increasing function of a lower layer's ε⁽ˡ⁾ alone. It fails where only the
last layer is pruned: every other ε⁽ˡ⁾ is zero and PD is what it is. What holds is a sum over layers.

Let h_l = φ_l(W_l h_{l−1} + b_l) with φ_l that move no two points farther apart than κ_l times their
distance, and let layers go from (W, b) to (W̃, b̃), one after the other from the top down. Changing layer
l, its input is still the unpruned network's h_{l−1} and the layers above it are pruned already, so
that the logits move by at most ∏_{k>l} κ_{k−1}‖W̃_k‖ · (‖W̃_l − W_l‖ ‖h_{l−1}‖ + ‖b̃_l − b_l‖). Cross-entropy is
√2-Lipschitz in the logits, so

    |L(ω̃) − L(ω)| ≤ √2 Σ_l ∏_{k>l} κ_{k−1}‖W̃_k‖₂ · (‖Δ_l‖₂ E‖h_{l−1}‖ + ‖Δb_l‖).

The norms of the layers above must be those of the pruned network, or else the h those of the pruned
one: with ‖W_k‖ and h both of the unpruned network the sum can be too small, as removing weights can
make a norm larger (½(1 + √5) > √2 for (1 1; 1 0) and (1 1; 1 −1)) and silent units speak.

It applies to plain chains of dense layers, convolutions, batch normalisation with fixed statistics,
poolings, dropout that is off, and activations of slope 1 at most (ReLU, tanh and their like): AlexNet
and VGG. A network with shortcuts, attention, concatenations, or functions that are no modules is
refused. The norm of a convolution is that of the map of whole images, at their true size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector
from ap3.measuring.module_norms import norms_of


@dataclass(frozen=True)
class Step:
    """A module of a chain, in numbers; or the same module of many networks, in arrays.

    Attributes
    ----------
    name
        The module's.
    norm
        Of the pruned module: how much farther apart it can move two points, at most.
    change
        ‖Δ‖, spectral norm of the change of its weights, at most; 0 where it has none.
    bias_change
        ‖Δb‖ over all that it puts out.
    input_norm
        E‖h‖ of what it sees in the unpruned network.
    """

    name: str
    norm: Any
    change: Any
    bias_change: Any
    input_norm: Any


def spectral_chain(steps: Sequence[Step]) -> Vector:
    """Share of every step in the bound on |L(ω̃) − L(ω)|; the bound is their sum.

    Parameters
    ----------
    steps
        From the input on to the logits.

    Returns
    -------
    array of shape (steps, …), in nats

    Examples
    --------
    >>> chain = [Step("0", 3.0, 0.5, 0.0, 1.0), Step("1", 1.0, 0.0, 0.0, 9.0), Step("2", 2.0, 1.0, 0.5, 9.0)]
    >>> spectral_chain(chain).round(6)
    array([ 1.414214,  0.      , 13.435029])
    """
    norms = np.array([*(step.norm for step in steps[1:]), np.ones_like(steps[0].norm)])
    above = np.cumprod(norms[::-1], axis=0)[::-1]
    moved = np.array([step.change * step.input_norm + step.bias_change for step in steps])
    return np.asarray(np.sqrt(2) * above * moved)


@torch.no_grad()
def chain_of(
    baseline: nn.Module, pruned: nn.Module, images: Tensor, lanczos_steps: int = 100
) -> list[Step]:
    """Take a chain and its pruned version apart, with norms from above.

    Parameters
    ----------
    baseline, pruned
        One architecture; both are evaluated, and left as they were.
    images : tensor of shape (N, …)
        The examples that the loss is taken on.
    lanczos_steps
        For every convolution and large dense layer, and its change; each a product with the layer
        and its transpose. Their norms hold but for a chance of 10⁻⁹ each.

    Returns
    -------
    list of Step
        From the input on to the logits.

    Raises
    ------
    UserError
        If the network is no plain chain, or holds a module whose norm is not known.

    Examples
    --------
    >>> one, two = (nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)) for _ in range(2))
    >>> _ = two.load_state_dict(one.state_dict())
    >>> with torch.no_grad():
    ...     two[2].weight[0, 0] += 0.5
    >>> steps = chain_of(one, two, torch.eye(2))
    >>> [round(step.change, 6) for step in steps]
    [0.0, 0.0, 0.5]
    """
    others = dict(pruned.named_modules())
    steps = []
    for visit in _visits(baseline, images):
        modules = baseline.get_submodule(visit.name), others[visit.name]
        norms = norms_of(visit.name, *modules, visit.inputs, visit.outputs, lanczos_steps)
        steps.append(
            Step(visit.name, norms.norm, norms.change, norms.bias_change, visit.input_norm)
        )
    return steps


@dataclass(frozen=True)
class _Visit:
    """A module that images have gone through: shapes of one example, and E‖h‖ of what it saw."""

    name: str
    inputs: torch.Size
    outputs: torch.Size
    input_norm: float


def _visits(model: nn.Module, images: Tensor) -> list[_Visit]:
    """Follow images through a network, and see to it that each module sees what the last put out."""
    visits: list[_Visit] = []
    ways: list[tuple[Any, Any]] = []  # where each module's input and output lie
    kept: list[Tensor] = []  # so that no tensor takes another's place

    def enter(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        norms = inputs[0].flatten(1).double().norm(dim=1)
        entered.append((_where(inputs[0]), inputs[0].shape[1:], float(norms.mean())))

    def leave(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def note(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            place, shape, norm = entered.pop()
            visits.append(_Visit(name, shape, output.shape[1:], norm))
            ways.append((place, _where(output)))
            kept.append(output)

        return note

    entered: list[tuple[Any, torch.Size, float]] = []
    hooks = []
    for name, module in model.named_modules():
        if not [*module.children()]:
            hooks += [
                module.register_forward_pre_hook(enter),
                module.register_forward_hook(leave(name)),
            ]
    training = model.training
    try:
        # A copy, as a first module may write to what it sees.
        final = model.eval()(images.clone())
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    _require_chain(model, visits, ways, final)
    return visits


def _require_chain(
    model: nn.Module, visits: Sequence[_Visit], ways: Sequence[tuple[Any, Any]], final: Tensor
) -> None:
    for (one, two), ((_, left), (entered, _)) in zip(pairwise(visits), pairwise(ways), strict=True):
        if left != entered:
            raise InvalidValueError(
                f"{type(model).__name__} is no plain chain: {two.name} does not see what {one.name} "
                "puts out; the bound through the layers needs one without shortcuts or functions "
                "between its modules, such as AlexNet or VGG."
            )
    names = {visit.name for visit in visits}
    if not visits or len(names) < len(visits) or ways[-1][1] != _where(final):
        raise InvalidValueError(
            f"{type(model).__name__} is no plain chain: a module is used twice, or the output is not "
            "what the last one puts out; the bound through the layers needs one, such as AlexNet "
            "or VGG."
        )


def _where(tensor: Tensor) -> tuple[int, int, int]:
    """Where a tensor lies, how many numbers it has, and how often it has been written to.

    A view of all of them is another order of the same numbers, and has the same norm.
    """
    return tensor.data_ptr(), tensor.numel(), tensor._version
