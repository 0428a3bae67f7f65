"""Files of torch.save read without running any of their code, in memory bounded by their size.

A file is a zip archive (since torch 1.6) or a row of pickles with the numbers behind them (before).
Numbers stay where they are and are mapped into memory; those of a compressed archive are inflated
one storage at a time.
"""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ap3.errors import InvalidFileError, UserError
from ap3.files import torch_archives, torch_old_files
from ap3.files.described_tensors import (
    Array,
    MalformedError,
    Meta,
    Quantised,
    RefusedError,
    Sparse,
    Strided,
)
from ap3.files.lazy_tensors import Entry
from ap3.files.safe_names import safe
from ap3.files.tensor_numbers import Numbers, tensor_of

_MIB = 2**20


@dataclass
class TorchFile:
    """What a file of torch.save holds, and a way to its tensors.

    Attributes
    ----------
    path
        Of the file.
    size
        Bytes of the file.
    content
        As `ap3.files.inert_pickles.read` describes it.
    numbers
        Where the numbers are; None in a pickle of plain Python objects.
    """

    path: Path
    size: int
    content: Any
    numbers: Numbers | None

    def entries(self, tensors: Mapping[str, Any]) -> dict[str, Entry]:
        """Turn descriptions of tensors into tensors to be made.

        Parameters
        ----------
        tensors
            Descriptions by name.

        Raises
        ------
        UserError
            If they claim more numbers than a file of this size can hold.
        """
        distinct = {_memory(tensor) or name: tensor for name, tensor in tensors.items()}
        claimed = sum(prod(t.shape) for t in distinct.values() if not isinstance(t, Meta))
        # A number takes a bit at least, in what is written on purpose.
        if claimed > 8 * self.size + _MIB:
            raise InvalidFileError(
                f"{self.path} claims {claimed:,} numbers in {self.size:,} bytes, more than can be "
                "true of weights; make dense, contiguous tensors of them before saving."
            )
        self._refuse_endless_inflation(distinct.values())
        return {name: self._entry(name, tensor) for name, tensor in tensors.items()}

    def _refuse_endless_inflation(self, tensors: Iterable[Any]) -> None:
        """Refuse a compressed archive whose storages would be inflated again and again."""
        if not isinstance(self.numbers, torch_archives.Archive):
            return
        total, last = 0, None
        for storage in (part.storage for tensor in tensors for part in _parts(tensor)):
            if storage.key != last:
                total += self.numbers.inflated(storage)
            last = storage.key
        if total > _most_inflated(self.size):
            raise InvalidFileError(
                f"{self.path} is compressed and inflates to {total:,} bytes, more than can be true "
                "of weights; unpack it and save it again with torch.save."
            )

    def _entry(self, name: str, tensor: Any) -> Entry:
        shape, dtype = tensor.shape, _dtype(tensor)
        memory = _memory(tensor)
        # With the file, since each shard numbers its storages anew.
        place = None if memory is None else (self.path, memory)
        return Entry(shape, partial(self._make, name, tensor), dtype, place)

    def _make(self, name: str, tensor: Any) -> Any:
        try:
            return tensor_of(tensor, self.numbers)
        except MalformedError as error:
            raise InvalidFileError(
                f"{safe(name)} in {self.path} is damaged ({error}); copy or make the file again."
            ) from error


def read(path: Path, is_zip: bool) -> TorchFile:
    """Read what a file of torch.save holds, but for its numbers.

    Parameters
    ----------
    path
        Of the file.
    is_zip
        Whether it begins like a zip archive.

    Raises
    ------
    UserError
        If it is no such file, names what is not known to be inert, or would take more memory than
        its size allows.
    """
    try:
        content, numbers = (torch_archives if is_zip else torch_old_files).read(path)
        return TorchFile(path, path.stat().st_size, content, numbers)
    except UserError:
        raise
    except RefusedError as error:
        raise _refused_class(path, str(error)) from error
    except (MalformedError, zipfile.BadZipFile, EOFError, struct.error, NotImplementedError) as e:
        raise no_checkpoint(path, safe(str(e))) from e
    except (zlib.error, lzma.LZMAError) as error:
        raise no_checkpoint(path, "it cannot be inflated") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError) as error:
        raise no_checkpoint(path) from error


def no_checkpoint(path: Path, why: str = "") -> UserError:
    """Say that a file is no checkpoint.

    Parameters
    ----------
    path
        Of the file.
    why
        What is wrong with it, if that is known.
    """
    return InvalidFileError(
        f"{path} is no checkpoint (neither safetensors nor a file of torch.save"
        f"{f': {why}' if why else ''}), or is damaged or cut short; give a whole one that holds a state dict."
    )


def _refused_class(path: Path, name: str) -> UserError:
    return InvalidFileError(
        f"{path} holds pickled Python objects beside tensors ({safe(name)}), which are not loaded "
        "because they could run any code; where that class is at hand and the file is trusted, load it with "
        "torch.load(..., weights_only=False), save the network's state_dict() and give that."
    )


def _most_inflated(size: int) -> int:
    """Bytes that a compressed file of `size` bytes may inflate to: zeros shrink a lot."""
    return 64 * _MIB + 64 * size


def _parts(tensor: Any) -> list[Strided]:
    """List the dense tensors that a tensor consists of."""
    if isinstance(tensor, Strided):
        return [tensor]
    if isinstance(tensor, Sparse):
        return list(tensor.parts)
    if isinstance(tensor, Quantised):
        parts = (tensor.codes, tensor.scale, tensor.zero_point)
        return [part for part in parts if isinstance(part, Strided)]
    return []


def _memory(tensor: Any) -> Any:
    return replace(tensor, is_negated=False) if isinstance(tensor, Strided) else None


def _dtype(tensor: Any) -> str:
    if isinstance(tensor, Quantised):
        return "float32"
    if isinstance(tensor, Array):
        return str(np.dtype(tensor.dtype)) if tensor.dtype else ""
    return str(tensor.dtype)
