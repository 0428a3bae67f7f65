"""A card made of the CPU: what lies on it has values, but may not meet what lies elsewhere.

Torch's own kernels for the CPU do the work, so results are the CPU's to the bit; what a card would
have waited for is counted. It stands in for CUDA in whatever asks for `device.type != "cpu"` and
`torch.get_device_module(device)`. Importing this registers it for the whole process: do so in a
process of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_any, tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

aten = torch.ops.aten

MEMORY = 1 << 30

# What returns something of a size or value that only the card knows.
ASKS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten._unique2.default,
}


class Module:
    """What `torch.card` is."""

    cache_emptied = 0
    waits: list[str] = []  # noqa: RUF012

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: torch.device) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: torch.device) -> None:
        torch.set_rng_state(state)

    def mem_get_info(self, device: torch.device) -> tuple[int, int]:
        return MEMORY, MEMORY

    def empty_cache(self) -> None:
        self.cache_emptied += 1


card = Module()
_setup_privateuseone_for_python_backend(rename="card", backend_module=card)
DEVICE = torch.device("card", 0)

# Pinned memory, from which a copy needs no waiting; a mark is enough.
torch.Tensor.pin_memory = lambda self: _pinned(self.clone())  # type: ignore[method-assign]
# `Module.to` must not put new data behind a tensor whose values are held here.
torch.__future__.set_overwrite_module_params_on_conversion(True)


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    tensor.is_pinned_here = True  # type: ignore[attr-defined]
    return tensor


class OnCard(torch.Tensor):
    """A tensor on the card; `held` has its values."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnCard":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({self.held})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return run(func, args, kwargs or {})


class Card(TorchDispatchMode):
    """Lets what is made for the card, or sent there, arrive there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute with what is held, and put what comes out where it belongs."""
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    there = any(isinstance(one, OnCard) for one in tensors)
    target = kwargs.get("device")
    wanted = None if target is None else torch.device(target).type
    if not there and wanted != "card":
        return func(*args, **kwargs)
    _refuse_mixture(func, tensors, there)
    _count_waits(func, args, kwargs, wanted)
    held_args, held_kwargs = tree_map(_held, (args, kwargs))
    if wanted is not None:
        held_kwargs["device"] = torch.device("cpu")
    out = func(*held_args, **held_kwargs)
    if wanted == "cpu":
        return out
    wrapped = tree_map(lambda one: OnCard(one) if isinstance(one, torch.Tensor) else one, out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _held(one: Any) -> Any:
    if isinstance(one, OnCard):
        return one.held
    return torch.device("cpu") if isinstance(one, torch.device) else one


def _refuse_mixture(func: Any, tensors: list[torch.Tensor], there: bool) -> None:
    copies = func in (aten._to_copy.default, aten.copy_.default)
    if there and not copies and any(one.ndim and not isinstance(one, OnCard) for one in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {func} met two.")


def _count_waits(func: Any, args: Any, kwargs: dict[str, Any], wanted: str | None) -> None:
    source = None
    if func is aten._to_copy.default and wanted is not None:
        source, free = args[0], kwargs.get("non_blocking", False)
    elif func is aten.copy_.default and isinstance(args[0], OnCard) != isinstance(args[1], OnCard):
        source, free = args[1], len(args) > 2 and args[2]
    if source is not None:
        if isinstance(source, OnCard) == (wanted == "card"):
            return  # from the card to the card
        if not free or isinstance(source, OnCard) or not hasattr(source, "is_pinned_here"):
            card.waits.append(str(func))
    elif func in ASKS or (
        func in (aten.index.Tensor, aten.index_put_.default)
        and tree_any(lambda one: getattr(one, "dtype", None) is torch.bool, args[1])
    ):
        card.waits.append(str(func))


@contextmanager
def counted_waits() -> Iterator[list[str]]:
    """List what the card was waited for within a `with` block.

    The backward pass stays on this thread: an error on that of a card of Python's ends the process.
    """
    card.waits = []
    with Card(), torch.autograd.set_multithreading_enabled(False):
        yield card.waits
