"""Calls with a few weights changed that compute only what comes after them.

A batch is run once through the network as it is, and what every submodule returned is kept. When
some weights are changed, the submodules that were done before the first of these was used return
what they returned then; all that follows is computed. So the cost of changing one layer is that of
the layers behind it, in any module that calls its parts one after the other: no graph is traced.

The first batch on which a set of weights matters tries it both ways, with every element of them
changed. Where they differ, as when a weight is used by a module that does not hold it, the whole
network is computed from then on.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from math import nan, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from ap3.errors import InvalidValueError
from ap3.networks.batches import Batch
from ap3.networks.first_order import NO_MEMORY, FirstOrder
from ap3.networks.logits import Tensors, call, first_logits
from ap3.networks.multiplications import multiplications
from ap3.networks.running_statistics import NAMES, RunningStatistics

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Layers whose weights hold input channels first."""


@dataclass(eq=False)
class _Call:
    """One call of a submodule: when it began and ended, within which other, and what it returned.

    `number` counts the calls of this module, from 0.
    """

    module: nn.Module
    number: int
    begin: int
    within: "_Call | None"
    end: int = -1
    output: Any = None
    version: int = -1

    @property
    def place(self) -> tuple[nn.Module, int]:
        """The same of a batch that has other lengths, and so another number of calls before."""
        return self.module, self.number


_CHANCE = 0.01
"""Share of the largest logit by which two calls may differ."""


class Replay:
    """Runs one network over batches, again and again with other weights.

    Between two batches it keeps nothing of the first; of one batch it keeps the activations of all
    submodules, as a training step does.

    Parameters
    ----------
    network
        In evaluation mode while this is used (`evaluating`).

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).eval()
    >>> batch = Batch((torch.ones(1, 2),), {}, torch.tensor([0]), 1)
    >>> with torch.no_grad():
    ...     runs = Replay(network)
    ...     before = runs.record(batch)
    ...     after = runs.call({"2.weight": torch.zeros(2, 2)})
    >>> torch.equal(after[0], network[2].bias)
    True
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._owners = _owners(network)
        self._mutated: set[tuple[nn.Module, int]] = set()
        self._tried: dict[frozenset[str], bool] = {}
        self._idle: set[frozenset[str]] = set()
        self._first_orders: dict[frozenset[str], FirstOrder] = defaultdict(FirstOrder)
        self._counts: dict[int, float] | None = None
        self._batch: Batch | None = None
        self._before: Tensor | None = None
        self._calls: list[_Call] = []

    def record(self, batch: Batch) -> Tensor:
        """Run the network as it is over a batch, and return its logits (N, C).

        Raises
        ------
        UserError
            If the network refuses the batch, returns no logits, or others at every call.
        """
        is_first = self._batch is None
        self._batch, self._idle, self._counts = batch, set(), None
        logits, changed = self._recorded(batch)
        if is_first:
            _refuse_chance(logits, call(self.network, batch))
        while changed:  # what is changed in place afterwards has to be copied when it is returned
            self._mutated |= changed
            logits, changed = self._recorded(batch)
        self._before = logits
        return logits

    def call(self, changed: Tensors) -> Tensor:
        """Return the logits of the recorded batch with some weights changed.

        Parameters
        ----------
        changed
            Parameters or buffers by their full names, as `named_parameters` has them.
        """
        batch, _ = self._held()
        with self._replayed_if_same(frozenset(changed)):
            return call(self.network, batch, changed)

    def linear_change(self, changed: Tensors, change: Tensors) -> Tensor:
        """Return JΔ, the change of the logits to first order, of the recorded batch: (N, C).

        One forward-mode pass where that can be had and is right; `derivative` says so.

        Parameters
        ----------
        changed
            The weights as they are, by full name.
        change
            Δ, of the same names and shapes.
        """
        batch, before = self._held()
        names = frozenset(changed)
        if not names:
            return torch.zeros_like(before)

        def logits(given: Tensors) -> Tensor:
            return call(self.network, batch, given)

        with ExitStack() as stack:
            if any(name.endswith(NAMES) for name in names):
                stack.enter_context(RunningStatistics())
            stack.enter_context(self._replayed_if_same(names))
            return self._first_orders[names].of(logits, changed, change, before)

    def derivative(self, names: Iterable[str]) -> str:
        """Say how `linear_change` found what it gave for some weights, as `FirstOrder.way`.

        Parameters
        ----------
        names
            All that changed.
        """
        return self._first_orders[frozenset(names)].way

    def uses(self, name: str) -> float:
        """Count how often one weight is multiplied for an example of the recorded batch, on average.

        0 for what is only looked up in, such as an embedding, and for what this batch does not use;
        NaN if it cannot be told.

        Parameters
        ----------
        name
            Full name of a weight.
        """
        batch, _ = self._held()
        if self._counts is None:
            self._counts = multiplications(self.network, batch)
        weight = self.network.get_parameter(name)
        if id(weight) in self._counts:
            return self._counts[id(weight)] / weight.numel() / len(batch.labels)
        return self._uses_by_outputs(name, weight, len(batch.labels))

    def _uses_by_outputs(self, name: str, weight: Tensor, count: int) -> float:
        """Take the places or tokens that the layer puts out, of a weight that no product takes as it is.

        Those that a transposed convolution reads count instead.
        """
        called = {one.module for one in self._calls}
        around = {
            (chain[0], next((module for module in chain if module in called), None))
            for chain in self._owners[name]
            if chain
        }
        if not around:
            return nan
        total = 0.0
        for _, module in around:
            for one in self._calls:
                if one.module is module:
                    total += _places(module, weight, one.output, count)
        return total

    def _held(self) -> tuple[Batch, Tensor]:
        if self._batch is None or self._before is None:
            raise RuntimeError("record a batch first")
        return self._batch, self._before

    def _recorded(self, batch: Batch) -> tuple[Tensor, set[tuple[nn.Module, int]]]:
        """Record a batch; return the logits, and the places changed in place that were not copied."""
        calls, running, numbers = list[_Call](), list[_Call](), Counter[nn.Module]()
        clock = 0

        def begin(module: nn.Module, _: Any) -> None:
            nonlocal clock
            clock += 1
            calls.append(_Call(module, numbers[module], clock, running[-1] if running else None))
            numbers[module] += 1
            running.append(calls[-1])

        def end(module: nn.Module, _: Any, output: Any) -> None:
            nonlocal clock
            clock += 1
            one = running.pop()
            one.end = clock
            one.output = _cloned(output) if one.place in self._mutated else output
            one.version = _version(one)

        hooks = []
        try:
            for module in self.network.modules():
                if module is not self.network:
                    hooks.append(module.register_forward_pre_hook(begin, prepend=True))
                    hooks.append(module.register_forward_hook(end))
            logits = first_logits(self.network, batch)
        finally:
            for hook in hooks:
                hook.remove()
        self._calls = calls
        return logits, {one.place for one in calls if _version(one) != one.version}

    def _replayed_if_same(self, names: frozenset[str]) -> AbstractContextManager[None]:
        """Replay what comes before any of `names`, if that is known to give what the network gives."""
        if names not in self._tried and names not in self._idle:
            self._try(names)
        return self._replayed(names) if self._tried.get(names) else nullcontext()

    def _try(self, names: frozenset[str]) -> None:
        """Compare both ways to the logits, for a change of `names` that leaves no element as it is.

        Of a change to be measured, some uses may see nothing: a table of which no row that is looked
        up was pruned. Where no use does, as of an expert that was not called, nothing is learned, and
        this batch is computed whole.
        """
        batch, before = self._held()
        held = dict(_tensors(self.network))
        try:
            probe = {name: _shaken(held[name]) for name in names}
            whole = call(self.network, batch, probe)
            if not _differ(whole, before):
                self._idle.add(names)
                return
            with self._replayed(names):
                replayed = call(self.network, batch, probe)
        except NO_MEMORY:
            raise
        except Exception:  # whatever a network objects to in such weights is no reason to stop
            self._tried[names] = False
        else:
            self._tried[names] = _agree(replayed, whole, before)

    @contextmanager
    def _replayed(self, names: frozenset[str]) -> Iterator[None]:
        """Let the submodules that end before any of `names` is used return what they returned."""
        first = min((self._first_use(name) for name in names), default=0)
        ready: dict[nn.Module, list[Any]] = defaultdict(list)
        for one in self._calls:
            is_done = 0 <= one.end < first
            around = one.within
            if is_done and not (around is not None and 0 <= around.end < first):
                ready[one.module].append((one.output, one.place in self._mutated))
        kept = {module: module.__dict__.get("forward") for module in ready}
        try:
            for module, outputs in ready.items():
                module.__dict__["forward"] = _returning(outputs, module.forward)
            yield
        finally:
            for module, forward in kept.items():
                if forward is None:
                    module.__dict__.pop("forward", None)
                else:
                    module.__dict__["forward"] = forward

    def _first_use(self, name: str) -> int:
        """Say when the first module that holds a weight, or is around one that does, began."""
        begins: dict[nn.Module, int] = {}
        for one in self._calls:
            begins.setdefault(one.module, one.begin)
        uses = []
        for chain in self._owners.get(name, [[]]):
            called = [begins[module] for module in chain if module in begins]
            uses.append(called[0] if called else 0)
        return min(uses, default=0)


def _places(layer: nn.Module, weight: Tensor, output: Any, count: int) -> float:
    """Count the places for an example in what one call put out; NaN of what holds no tensor."""
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return 0.0
    tensors = (part for part in tree_leaves(output) if isinstance(part, Tensor) and part.ndim)
    first = next(tensors, None)
    if first is None:
        return nan
    if isinstance(layer, TRANSPOSED):
        return _read_places(layer, first)
    is_matrix = weight.ndim == 2 or isinstance(layer, nn.MultiheadAttention | nn.RNNBase)
    width = first.shape[-1] if is_matrix else len(weight)
    return first.numel() / count / width


def _read_places(layer: Any, output: Tensor) -> float:
    """Count the places that a transposed convolution read for an example, from what it put out."""
    counts = [
        (size - extra + 2 * padding - dilation * (side - 1) - 1) // stride + 1
        for size, extra, padding, dilation, side, stride in zip(
            output.shape[-len(layer.kernel_size) :],
            *(layer.output_padding, layer.padding, layer.dilation, layer.kernel_size, layer.stride),
            strict=True,
        )
    ]
    return float(prod(counts))


def _owners(network: nn.Module) -> dict[str, list[list[nn.Module]]]:
    """Find, for every tensor's name, the modules that hold it, each with those around it, inmost first.

    A tied tensor has several.
    """
    named = dict(network.named_modules(remove_duplicate=False))
    holders: dict[int, list[str]] = defaultdict(list)
    for name, tensor in _tensors(network):
        holders[id(tensor)].append(name)
    found = {}
    for name, tensor in _tensors(network):
        chains = []
        for other in holders[id(tensor)]:
            path = other.split(".")[:-1]
            prefixes = [".".join(path[:length]) for length in range(len(path), 0, -1)]
            chains.append([named[prefix] for prefix in prefixes])
        found[name] = chains
    return found


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters(remove_duplicate=False)
    yield from network.named_buffers(remove_duplicate=False)


def _returning(outputs: list[Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """Make a `forward` that gives `outputs` one after the other, and then computes."""
    left = iter(outputs)

    def replayed(*arguments: Any, **named: Any) -> Any:
        found = next(left, None)
        if found is None:
            return forward(*arguments, **named)
        output, is_mutated = found
        # What is changed in place afterwards is copied here, where a derivative may be taken.
        return _cloned(output) if is_mutated else output

    return replayed


def _refuse_chance(logits: Tensor, again: Tensor) -> None:
    """Refuse a network that draws random numbers; sums in another order differ far less."""
    apart = float((again - logits).abs().max())
    if not apart <= _CHANCE * float(logits.abs().max()):
        raise InvalidValueError(
            f"the network's logits of one batch differ by up to {apart:.3g} from call to call, in evaluation "
            "mode; take chance out of it, for instance by F.dropout(x, p, self.training), and let it leave its "
            "input as it is."
        )


def _cloned(output: Any) -> Any:
    return tree_map(lambda part: part.clone() if isinstance(part, Tensor) else part, output)


def _version(one: _Call) -> int:
    """Count the changes in place of what a call returned."""
    return sum(part._version for part in tree_leaves(one.output) if isinstance(part, Tensor))


def _shaken(tensor: Tensor) -> Tensor:
    """Raise every element by up to half of their mean magnitude, so that no variance turns negative.

    Whole numbers stay: they may be places in a table.
    """
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return tensor
    generator = torch.Generator(tensor.device).manual_seed(0)
    shares = torch.rand(tensor.shape, generator=generator, device=tensor.device)
    size = float(tensor.detach().abs().double().mean()) or 1.0
    return tensor.detach() + ((0.25 + shares / 4) * size).to(tensor.dtype)


def _rounding(logits: Tensor) -> float:
    return 64 * torch.finfo(logits.dtype).eps * float(logits.abs().max())


def _differ(one: Tensor, other: Tensor) -> bool:
    """Whether logits differ by more than rounding."""
    return not float((one - other).abs().max()) <= _rounding(other)


def _agree(replayed: Tensor, whole: Tensor, before: Tensor) -> bool:
    """Whether two ways to the same logits differ by rounding only."""
    effect = float((whole - before).abs().max())
    return float((replayed - whole).abs().max()) <= max(_rounding(whole), 1e-4 * effect)
