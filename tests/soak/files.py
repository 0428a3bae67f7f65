"""Files of every kind that ap3 reads, damaged at random or with ill intent; and what must hold."""

import io
import json
import os
import pickle
import random
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from ap3 import comparison, covariances, state_dicts, storage, tables
from ap3.baselines import train_baseline
from ap3.checkpoints import Checkpoint
from ap3.datasets import cifar10
from ap3.datasets.images import Images
from ap3.errors import UserError
from ap3.features import Features, StoredViews, write, write_views
from ap3.layers import Layer
from ap3.models.weights import Pretrained
from ap3.outcomes import Outcomes
from ap3.pruning import prune_layer
from ap3.training import Recipe
from ap3.variants import Variant

CPU = torch.device("cpu")


def _views(path: Path) -> None:
    views = StoredViews(path)
    for index in range(min(len(views), 3)):
        views[index]


def _compare(path: Path) -> None:
    comparison.compare(state_dicts.read(path), state_dicts.read(path), ["*"], 4.0, 10)


READERS: dict[str, Callable[[Path], object]] = {
    "data.safetensors": Images.load,
    "baseline.safetensors": lambda path: Checkpoint.load(path, CPU),
    "pruned.safetensors": Layer.load,
    "features.safetensors": Features.load,
    "views.safetensors": _views,
    "outcomes.safetensors": Outcomes.read,
    "covariance.safetensors": covariances.load,
    "weights.safetensors": Pretrained.load,
    "weights.pt": Pretrained.load,
    "two networks.pt": _compare,
    "table.csv": lambda path: tables.read(path, "epoch"),
    "cifar-10-python.tar.gz": lambda path: cifar10.decode(path.parent),
}


def make(folder: Path, data: Images, cifar: bytes) -> None:
    """Write a good file for every reader into `folder`."""
    recipe = Recipe(1, 20, 0.01)
    options: dict[str, Any] = {"validation": 0.0, "trial": 1, "seed": 0, "device": CPU}
    checkpoint, history = train_baseline(data, "small_vgg", 16, recipe, **options)
    data.save(folder / "data.safetensors")
    checkpoint.save(folder / "baseline.safetensors")
    layer = Layer.of_checkpoint(folder / "baseline.safetensors")
    prune_layer(layer, Variant("lowest", 0.5)).save(folder / "pruned.safetensors")
    write(folder / "features.safetensors", checkpoint, data, CPU)
    write_views(folder / "views.safetensors", checkpoint, data, 2, "flip", CPU)
    outcomes = np.ones((1, 20), np.float32)
    Outcomes(outcomes, outcomes).write(folder / "outcomes.safetensors")
    covariances.make(folder / "covariance.safetensors", 6, "dense", 0)
    checkpoint.save(folder / "weights.safetensors")
    for name in ("weights.pt", "two networks.pt"):
        torch.save(checkpoint.model.state_dict(), folder / name)
    import pandas as pd

    tables.write(pd.DataFrame(history), folder / "table.csv")
    (folder / "cifar-10-python.tar.gz").write_bytes(cifar)


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
    """Write a file that runs code when it is unpickled: as torch's, or within CIFAR's archive."""
    if target.suffix == ".gz":
        content = pickle.dumps(Canary(canary))
        with tarfile.open(target, "w:gz") as archive:
            for name in (*cifar10._LAYOUT.train, cifar10._LAYOUT.test, cifar10._LAYOUT.meta):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    elif chance.random() < 0.5:
        torch.save({"weight": torch.ones(2, 2), "more": Canary(canary)}, target)
    else:
        target.write_bytes(pickle.dumps({"weight": Canary(canary)}, protocol=2))


def outside(target: Path, chance: random.Random) -> None:
    """Write an archive with a link or a member that leads out of it."""
    with tarfile.open(target, "w:gz") as archive:
        member = tarfile.TarInfo(chance.choice(["../evil", "/tmp/evil", "a/../../evil", "link"]))
        if member.name == "link":
            member.type = chance.choice([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
            member.linkname = "/etc/passwd"
        archive.addfile(member)


def verdict(name: str, path: Path) -> str:
    """Read `path` as what `name` is: `read`, or `refused` in one sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            READERS[name](path)
        except UserError as error:
            refusal = str(error)
        else:
            return "read"
    assert refusal.strip(), name
    return "refused"


def attack(name: str, folder: Path, work: Path, chance: random.Random) -> tuple[str, str]:
    """Damage the good file `name` of `folder` in one way; returns the way and the verdict."""
    target, canary = work / name, work / "canary"
    ways = [*MUTATIONS]
    if name.endswith(".safetensors"):
        ways += ["another content, sealed again"] * 5
    if name.endswith((".pt", ".gz")):
        ways += ["code"]
    if name.endswith(".gz"):
        ways += ["a way outside"]
    way = chance.choice(ways)
    if way == "code":
        with_code(target, canary, chance)
    elif way == "a way outside":
        outside(target, chance)
    elif way in MUTATIONS:
        target.write_bytes(MUTATIONS[way]((folder / name).read_bytes(), chance))
    elif not reseal(folder / name, target, chance):
        return way, "read"
    found = verdict(name, target)
    assert not canary.exists(), f"{name} ran code"
    assert sorted(path.name for path in work.iterdir()) == [name], "something else was written"
    target.unlink()
    return way, found


def as_json(counts: dict[str, Any]) -> str:
    """Write counts for the table."""
    return json.dumps(counts, indent=1)
