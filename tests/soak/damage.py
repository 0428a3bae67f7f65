"""Ways to damage a file, at random or with ill intent."""

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ap3.files import storage


def _bits(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 20)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _header(content: bytes, chance: random.Random) -> bytes:
    """Flip bits where the header of a file is."""
    head = min(len(content), 400)
    return _bits(content[:head], chance) + content[head:]


def _splice(content: bytes, chance: random.Random) -> bytes:
    first, second = sorted(chance.choices(range(len(content) + 1), k=2))
    return chance.choice(
        [content[:first] + content[second:], content[:second] + content[first:], content[first:]]
    )


def _huge(content: bytes, chance: random.Random) -> bytes:
    length = chance.choice([2**63, 2**64 - 1, 2**40, 99_999_999, len(content)])
    return length.to_bytes(8, "little") + b"{" + content[9:]


def _random(content: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(2000))


MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut short": lambda content, chance: content[: chance.randrange(len(content))],
    "bits flipped": _bits,
    "bits of the header flipped": _header,
    "parts lost or doubled": _splice,
    "a huge header": _huge,
    "empty": lambda content, chance: b"",
    "random bytes": _random,
}


def _rows_lost(content: bytes, chance: random.Random) -> bytes:
    heading, *rows = content.splitlines(keepends=True)
    kept = chance.random()
    return b"".join([heading, *(row for row in rows if chance.random() < kept)])


def _rows_doubled(content: bytes, chance: random.Random) -> bytes:
    rows = content.splitlines(keepends=True)
    return b"".join([*rows, *chance.choices(rows, k=chance.randint(1, 3))])


def _columns_lost(content: bytes, chance: random.Random) -> bytes:
    rows = [row.split(b",") for row in content.splitlines()]
    width = len(rows[0])
    lost = set(chance.sample(range(width), chance.randint(1, max(width // 2, 1))))
    kept = ([cell for place, cell in enumerate(row) if place not in lost] for row in rows)
    return b"".join(b",".join(row) + b"\n" for row in kept)


_GARBAGE = [b"", b"x", b"-1", b"nan", b"inf", b"1e308", b"9" * 40, b'"', b"\0", b"2,3", b"../evil"]


def _garbage(content: bytes, chance: random.Random) -> bytes:
    """Put other things into some cells, or into a whole column."""
    rows = [row.split(b",") for row in content.splitlines()]
    column, whole = chance.randrange(len(rows[0])), chance.random() < 0.3
    for row in rows[1:] if whole else chance.choices(rows, k=chance.randint(1, 4)):
        row[column % len(row)] = chance.choice(_GARBAGE)
    return b"".join(b",".join(row) + b"\n" for row in rows)


TABLE_MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "rows of a table lost": _rows_lost,
    "rows of a table doubled": _rows_doubled,
    "columns of a table lost": _columns_lost,
    "garbage in a table": _garbage,
}

_ODD = [None, True, -1, 0, 10**12, 2.5, "", "x", "os:kill", "../../evil", [], [1, 2], {}, "a\nb"]


def reseal(path: Path, target: Path, chance: random.Random) -> bool:
    """Change what a file of ours holds, and give it the digest that goes with that."""
    with safe_open(path, framework="numpy") as file:
        entry = (file.metadata() or {}).get("ap3")
    if entry is None:
        return False
    arrays, about = storage.load(path)
    name = chance.choice(sorted(arrays))
    how = chance.choice(["about", "about", "about", "drop", "type", "shape", "rename"])
    if how == "drop":
        del arrays[name]
    elif how == "rename":
        arrays[chance.choice(["", "x", "weight"])] = arrays.pop(name)
    elif how == "type":
        arrays[name] = arrays[name].astype(chance.choice(["u1", "f8", "i8", "f2", "?"]))
    elif how == "shape":
        flat = arrays[name].reshape(-1)
        arrays[name] = chance.choice([flat, flat[:0], flat[: len(flat) // 2]])
    elif about:
        _change(about, chance)
    storage.save(target, arrays, **about)
    return True


def _change(about: dict[str, Any], chance: random.Random) -> None:
    part, key = about, chance.choice(sorted(about))
    while isinstance(part[key], dict) and part[key] and chance.random() < 0.8:
        part = part[key]
        key = chance.choice(sorted(part))
    if chance.random() < 0.2:
        del part[key]
    else:
        part[key] = chance.choice(_ODD)


class Canary:
    """Leaves a file where it is unpickled; no reader of ours may ever do that."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def with_code(target: Path, canary: Path, chance: random.Random) -> None:
    """Write a file of torch's that runs code when it is unpickled."""
    if chance.random() < 0.5:
        torch.save({"weight": torch.ones(2, 2), "more": Canary(canary)}, target)
    else:
        target.write_bytes(pickle.dumps({"weight": Canary(canary)}, protocol=2))
