"""Files of torch.save drawn freely: tensors of all kinds, under any names, nested in any way."""

import argparse
import collections
import functools
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

# Names of layers.

_PLAIN = ("fc.weight", "layer1.0.conv.weight", "fc.bias", "weight", "w", "emb.weight")
_ODD = (
    "\x1b[2J\x1b[31mfc.weight",
    "\x1b]0;title\x07fc.weight",
    "\x9b31m.weight",
    "a\nb.weight",
    "a\r\n\tb.weight",
    "\0",
    "",
    ".",
    ".weight",
    "a..weight",
    "../../evil.weight",
    "/etc/passwd",
    "layers[0].weight",
    "[bold red]x[/].weight",
    "[/]",
    "[*].weight",
    "{0}{name!r:>99}.weight",
    "%s%n.weight",
    "=1+1",
    "größe.weight",
    "层.weight",
    "\u202eevil.weight",
    "e\u0301\u200d\ufeff.weight",
    "\U0001f600.weight",
    "\ud800.weight",
    "\u2028x.weight",
    "*",
    "?",
)
_TOOLS = (
    "module.fc.weight",
    "_orig_mod.module.fc.weight",
    "fc.weight_orig",
    "fc.weight_mask",
    "fc.weight_scale",
    "fc.weight_zero_point",
    "fc.weight_bitmask",
    "fc.weight_packed",
    "fc.parametrizations.weight.original",
    "fc.parametrizations.weight.original0",
    "fc.lora_A.weight",
    "fc.qweight",
    "fc.SCB",
    "masks.fc.weight",
    "__ap3__",
)
_KEYS: tuple[Any, ...] = (0, -1, 10**40, 2.5, float("nan"), None, True, (1, "a"), b"fc.weight")


def name(chance: random.Random) -> str:
    """Draw the name of a layer."""
    kind = chance.random()
    if kind < 0.4:
        return chance.choice(_PLAIN)
    if kind < 0.45:
        return chance.choice(_TOOLS)
    if kind < 0.85:
        return chance.choice(_ODD)
    if kind < 0.92:
        return chance.choice(["a", "a.", "é", "\x1b", "[", "\n"]) * 10 ** chance.randint(2, 5)
    # Any letters, surrogates among them.
    ranges = chance.choice([(32, 127), (0, 256), (0, 0x110000)])
    return "".join(chr(chance.randrange(*ranges)) for _ in range(9))


def _key(chance: random.Random) -> Any:
    return chance.choice([name(chance), *_KEYS])


# Tensors.

_TYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "int8", "int64", "uint8")
_TYPES += ("bool", "complex64", "uint16")
_SIZES = (0, 1, 1, 2, 3, 5, 8)
_ENDLESS = (10**4, 10**6, 2**31)  # torch counts numbers in 63 bits


def _shape(chance: random.Random, most: int = 4) -> list[int]:
    return [chance.choice(_SIZES) for _ in range(chance.choice([0, 1, 2, 2, 2, 3, most]))]


def _dense(chance: random.Random) -> torch.Tensor:
    numbers = torch.randn(_shape(chance)) * 10.0 ** chance.randint(-3, 3)
    return numbers.to(
        getattr(torch, chance.choice(_TYPES if chance.random() < 0.3 else _TYPES[:2]))
    )


def _not_finite(chance: random.Random) -> torch.Tensor:
    values = [float("nan"), float("inf"), -float("inf"), 3e38, 1e-45, -0.0]
    return torch.tensor([[chance.choice(values), 1.0], [0.0, 2.0]])


def _strided(chance: random.Random) -> torch.Tensor:
    base = torch.randn(12, 10)
    return chance.choice(
        [
            base.t(),
            base[::2, 1:7:3],
            base[3:],
            base.reshape(3, 4, 10).permute(2, 0, 1),
            base.as_strided((4, 5), (1, 1), 3),
            base.as_strided((6, 6), (0, 2)),
            base[:0],
            base.to(torch.complex64).conj().imag,
        ]
    )


def _expanded(chance: random.Random) -> torch.Tensor:
    rows, columns = (chance.choice([1, 50, *_ENDLESS]) for _ in range(2))
    return torch.ones(1).expand(rows, columns)


def _sparse(chance: random.Random) -> torch.Tensor:
    size = [chance.choice([3, 50, *_ENDLESS]) for _ in range(2)]
    index = torch.tensor([[0, 2, 0], [1, 2, 1]])
    if chance.random() < 0.2:  # beyond the shape
        index = index + chance.choice([-1, 100])
    if chance.random() < 0.3:
        index, size = torch.zeros(3, 0, dtype=torch.int64), [chance.choice(_SIZES), 3, size[1]]
    values = torch.ones(index.shape[1])
    return torch.sparse_coo_tensor(index, values, size, check_invariants=False)


def _compressed_rows(chance: random.Random) -> torch.Tensor:
    dense = torch.eye(4, 6)
    kind = chance.choice(["csr", "csc", "bsr", "bsc", "endless"])
    if kind == "endless":
        starts = torch.tensor([0, 1, 2, 2, 2])
        columns = chance.choice(_ENDLESS)
        return torch.sparse_csr_tensor(
            starts, torch.tensor([0, 1]), torch.ones(2), (4, columns), check_invariants=False
        )
    block = {"blocksize": (2, 2)} if kind.startswith("b") else {}
    return getattr(dense, f"to_sparse_{kind}")(**block)


def _quantised(chance: random.Random) -> torch.Tensor:
    dense = torch.randn(4, 5)
    if chance.random() < 0.5:
        return torch.quantize_per_tensor(dense, chance.choice([0.05, 0.0, 1e-40]), 3, torch.qint8)
    scales, zeros = torch.full((4,), 0.1), torch.zeros(4, dtype=torch.int64)
    return torch.quantize_per_channel(dense, scales, zeros, 0, torch.qint8)


def _zeros(chance: random.Random) -> torch.Tensor:
    """Numbers that shrink a thousandfold when the file is compressed."""
    return torch.zeros(chance.choice([10, 500, 1500]), 1000)


def _of_numpy(chance: random.Random) -> Any:
    return chance.choice(
        [
            np.arange(6.0).reshape(2, 3),
            np.asfortranarray(np.ones((3, 2))),
            np.ones((2, 2), ">f4"),
            np.float64(2),
            np.array(3.0),
            np.array(["text"]),
            np.array([[None, {}]], dtype=object),
            np.zeros((2, 2), [("a", "f4")]),
            np.zeros((1, 1)).repeat(9, 0)[::3],
        ]
    )


_HARMLESS: tuple[Callable[[random.Random], Any], ...] = (
    lambda chance: torch.randn(_shape(chance)) * 10.0 ** chance.randint(-3, 3),
    lambda chance: nn.Parameter(torch.randn(3, 4)),
    lambda chance: torch.eye(5, 7).to_sparse(),
    lambda chance: torch.ones(1).expand(50, 50),
    _strided,
)
_TENSORS: tuple[Callable[[random.Random], Any], ...] = (
    _dense,
    _not_finite,
    _expanded,
    _sparse,
    _compressed_rows,
    _quantised,
    _zeros,
    _of_numpy,
    lambda chance: torch.empty(_shape(chance), device="meta"),
    lambda chance: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
)


def _tensors(chance: random.Random) -> dict[Any, Any]:
    """Draw a state dict; some of its tensors share their numbers."""
    found: dict[Any, Any] = {}
    odd = chance.choice([0, 0.1, 0.5])  # else each file would be refused by its first tensor
    for _ in range(chance.choice([0, 1, 2, 3, 5, 30])):
        known = [tensor for tensor in found.values() if isinstance(tensor, torch.Tensor)]
        if known and chance.random() < 0.15:
            made = chance.choice(known)
        else:
            made = chance.choice(_TENSORS if chance.random() < odd else _HARMLESS)(chance)
        is_text = chance.random() > odd / 10
        found[name(chance) if is_text else chance.choice(_KEYS)] = made
    return found


# What stands around them.


class Unknown:
    """A class that a file of weights has no need for."""


class Calls:
    """Pickled as a call of a function with arguments."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def _object(chance: random.Random) -> Any:
    return chance.choice(
        [
            3,
            "text",
            None,
            [1, 2],
            {1, 2},
            argparse.Namespace(lr=0.1, out=Path("runs")),
            collections.Counter("aab"),
            torch.Size([2]),
            torch.device("cpu"),
            torch.Generator().get_state(),
            Unknown(),
            nn.Linear(2, 2),
            functools.partial(print, "x"),
            Calls(bytearray, 10**13),
            Calls(torch.Tensor, 10**6, 10**6),
            Calls(range, 10**12),
            Calls(collections.OrderedDict, [("a", torch.ones(2, 2))]),
        ]
    )


_AROUND = ("state_dict", "model", "ema", "optimizer", "masks", "net_g", "\x1b[2J", "a" * 999)


def _flat(chance: random.Random) -> Any:
    return _tensors(chance)


def _wrapped(chance: random.Random) -> Any:
    content: Any = _tensors(chance)
    for _ in range(chance.choice([1, 1, 2, 20, 200])):
        content = {chance.choice(_AROUND): content}
    return content


def _beside(chance: random.Random) -> Any:
    """Several networks, and objects beside them."""
    content = {chance.choice(_AROUND): _tensors(chance) for _ in range(chance.randint(1, 3))}
    return content | {f"object {n}": _object(chance) for n in range(chance.randint(0, 2))}


def _holding_itself(chance: random.Random) -> Any:
    content: dict[Any, Any] = {"inner": _tensors(chance)}
    inner: Any = chance.choice([content["inner"], content])
    inner[_key(chance)] = chance.choice([content, [content], {"again": content}])
    return content


def _shared(chance: random.Random) -> Any:
    """A dictionary that is reached by two to the power of so many paths."""
    content: Any = _tensors(chance)
    for _ in range(chance.choice([1, 5, 40])):
        content = {"a": content, "b": chance.choice([content, [content, content]])}
    return content


def _other(chance: random.Random) -> Any:
    whole = [nn.Linear(2, 3), torch.ones(2, 2), _object(chance), [_tensors(chance)] * 3]
    ordered = collections.OrderedDict(_tensors(chance))
    grown = collections.defaultdict(dict, _tensors(chance))
    return chance.choice([*whole, ordered, grown, {n: {} for n in range(10**4)}])


_CONTENTS = {
    "of torch": _flat,
    "of torch, deep": _wrapped,
    "of torch, several networks and objects": _beside,
    "of torch, holding itself": _holding_itself,
    "of torch, shared dictionaries": _shared,
    "of torch, other things": _other,
}

WAYS = tuple(_CONTENTS)
"""What a drawn file may hold."""


# How they are written.


def _rezip(path: Path, chance: random.Random) -> None:
    """Compress the members of the archive; some of them may be lost, named otherwise or longer."""
    with zipfile.ZipFile(path) as archive:
        members = [(each.filename, archive.read(each)) for each in archive.infolist()]
    methods = [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED]
    method, hurt = chance.choice(methods), chance.random() < 0.3
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, content in members:
            what = chance.random() if hurt else 1.0
            if what < 0.1:
                continue
            written = f"{member}x" if what < 0.15 else member
            written = f"../{member}" if 0.15 < what < 0.2 else written
            archive.writestr(written, content[:-4] if 0.2 < what < 0.3 else content)
        if hurt and chance.random() < 0.3:
            archive.writestr("archive/data/0", bytes(10**6))


def _hurt(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        del content[chance.randrange(len(content)) :]
    else:
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def write(target: Path, way: str, chance: random.Random) -> None:
    """Write a drawn file of torch.save, in the new or the old form, compressed, or damaged."""
    is_zip = chance.random() < 0.75
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = _CONTENTS[way](chance)
        try:
            torch.save(content, target, _use_new_zipfile_serialization=is_zip)
        except (RuntimeError, NotImplementedError, AttributeError, RecursionError):
            is_zip = True  # torch cannot write that in every form
            torch.save({"w.weight": torch.ones(2, 2)}, target)
        if is_zip and chance.random() < 0.4:
            _rezip(target, chance)
    if chance.random() < 0.2:
        _hurt(target, chance)


def write_names(target: Path, chance: random.Random) -> None:
    """Write a safetensors file whose layers have drawn names."""
    names = {name(chance).encode("utf-8", "replace").decode() for _ in range(chance.randint(1, 30))}
    save_file({each: torch.randn(3, 4) for each in names if each != "__metadata__"}, target)
