"""Folders of a network as Hugging Face's libraries write them: one file, or shards and an index."""

import json
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ap3.errors import InvalidFileError, MissingFileError, UserError
from ap3.files.lazy_tensors import Entry, StateDict
from ap3.files.safe_names import listed, safe

INDEX = ".index.json"
_FILES = tuple(
    name + end for name in ("model.safetensors", "pytorch_model.bin") for end in ("", INDEX)
)
"""In the order in which transformers looks for them."""
_ENDS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_NO_WEIGHTS = re.compile(r"training_args|optimizer|scheduler|rng_state|scaler|\.index\.json$")
_LARGEST_INDEX = 2**25

Read = Callable[[Path], StateDict]


def file_of(folder: Path) -> Path:
    """Find the one file in a folder that tells where all weights are: an index, or the weights.

    Parameters
    ----------
    folder
        As `save_pretrained` or a download leaves it.

    Raises
    ------
    UserError
        If there is none, or there are several without an index, or it is an adapter's.
    """
    for name in _FILES:
        if (folder / name).exists() or (folder / name).is_symlink():
            return folder / name
    files = sorted(path for path in folder.iterdir() if path.name.endswith((*_ENDS, INDEX)))
    indices = [path for path in files if path.name.endswith(INDEX)]
    weights = [path for path in files if not _NO_WEIGHTS.search(path.name)]
    if (folder / "adapter_config.json").exists():
        raise adapter(folder)
    for some in (indices, weights):
        if len(some) == 1:
            return some[0]
    if not weights:
        raise InvalidFileError(
            f"{folder} is a folder without weights (model.safetensors, an index of shards, or one file "
            f"that ends in {', '.join(_ENDS)}); give the folder or the file that holds them."
        )
    raise InvalidFileError(
        f"{folder} holds several files of weights and no index "
        f"({listed([path.name for path in weights])}); give the one that is meant, or write "
        "model.safetensors.index.json."
    )


def adapter(path: Path | str) -> UserError:
    """Say that a file is an adapter.

    Parameters
    ----------
    path
        Of the file or folder.
    """
    return InvalidFileError(
        f"{path} holds an adapter (LoRA), which is no network; merge it into its network with "
        "peft's model.merge_and_unload(), save that and give it."
    )


def read_index(index: Path, read: Read) -> StateDict:
    """Read the shards that an index names.

    Parameters
    ----------
    index
        JSON with a `weight_map` of tensors to files beside it.
    read
        Reads one file.

    Raises
    ------
    UserError
        If the index is none, names a file outside its folder, or a shard or a tensor is missing.
    """
    places = _weight_map(index)
    shards: dict[str, StateDict] = {}
    for name in dict.fromkeys(places.values()):
        path = index.parent / inside(name, index)
        if not path.is_file():
            raise InvalidFileError(
                f"{index} names the shard {safe(name)}, which is missing; download or copy it into "
                f"{index.parent}."
            )
        shards[name] = read(path)
    entries: dict[str, Entry] = {}
    for tensor, shard in places.items():
        if tensor not in shards[shard].entries:
            raise InvalidFileError(
                f"{index} says that {safe(tensor)} is in {safe(shard)}, but it is not; download or "
                "copy the folder again."
            )
        entries[tensor] = shards[shard].entries[tensor]
    left = [n for shard in shards.values() for n in shard.entries if n not in entries]
    remarks = tuple(remark for shard in shards.values() for remark in shard.remarks)
    if left:
        remarks += (f"{index}: {len(left):,} tensors that it does not name were not read.",)
    return StateDict(entries, remarks)


def _weight_map(index: Path) -> dict[str, str]:
    try:
        if index.stat().st_size > _LARGEST_INDEX:
            raise ValueError("too large")
        places = json.loads(index.read_bytes())["weight_map"]
        if not isinstance(places, dict) or not places or not _are_texts(places):
            raise ValueError("no mapping of names to files")
    except FileNotFoundError as error:
        raise MissingFileError(f"{index} does not exist; give a checkpoint's path.") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidFileError(
            f"{index} is no index of shards (JSON with a weight_map of tensors to files); download "
            "or copy it again."
        ) from error
    return places


def _are_texts(places: dict[str, Any]) -> bool:
    return all(isinstance(file, str) for file in places.values())


def inside(name: str, index: Path) -> str:
    """Refuse the name of a shard that leads out of the folder of its index.

    Parameters
    ----------
    name
        Of the file that is named.
    index
        The file that names it.

    Raises
    ------
    UserError
        If it leads elsewhere.
    """
    leads_out = any(
        kind(name).is_absolute() or ".." in kind(name).parts or kind(name).drive
        for kind in (PurePosixPath, PureWindowsPath)
    )
    if leads_out or "\0" in name or not name:
        raise InvalidFileError(
            f"{index} names the file {safe(name)}, which is outside of its folder; no such file is "
            "read."
        )
    return name
