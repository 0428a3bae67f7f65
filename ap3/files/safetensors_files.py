"""Safetensors files: tensors by name, mapped, and checked where ap3 wrote the file."""

from functools import partial
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ap3.errors import InvalidFileError
from ap3.files import storage, streams
from ap3.files.lazy_tensors import Entry
from ap3.files.safe_names import safe

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F4": "float4_e2m1fn_x2",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
    "C64": "complex64",
}


def read(path: Path) -> dict[str, Entry]:
    """Read which tensors a safetensors file holds; each is mapped when it is asked for.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    UserError
        If the file is damaged, by its header or, where ap3 wrote it, by the digest of its content.
    """
    try:
        file = safe_open(path, framework="pt")
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        forms = {n: (tuple(s.get_shape()), str(s.get_dtype())) for n, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise InvalidFileError(
            f"{path.resolve()} is a damaged safetensors file ({safe(str(error))}); copy or make it "
            "again."
        ) from error
    if storage.is_ours(path):
        with storage.holding(path, "arrays that ap3 can check"):
            streams.verify(path)
    return {
        name: Entry(shape, partial(_tensor, file, name, path), _DTYPES.get(kind, kind.lower()))
        for name, (shape, kind) in forms.items()
    }


def _tensor(file: safe_open, name: str, path: Path) -> object:
    try:
        return file.get_tensor(name)
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise InvalidFileError(
            f"{safe(name)} in {path} cannot be read ({safe(str(error))}); convert it to float32."
        ) from error
