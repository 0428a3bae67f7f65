"""ONNX files: the initialisers of the graph by name, and constants that layers take: a network's weights."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ap3.errors import InvalidFileError, MissingPackageError
from ap3.files.lazy_tensors import Entry
from ap3.files.safe_names import listed, safe
from ap3.files.shards import inside

# By ONNX's names: the types that NumPy has, those that torch has, and codes of four bits.
_NUMPY = {"FLOAT": "float32", "DOUBLE": "float64", "FLOAT16": "float16", "BOOL": "bool"}
_NUMPY |= {
    f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}
_TORCH = {
    "BFLOAT16": "bfloat16",
    "FLOAT8E4M3FN": "float8_e4m3fn",
    "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
    "FLOAT8E5M2": "float8_e5m2",
    "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
}
_FOUR_BITS = {"INT4": "int8", "UINT4": "uint8"}
_TYPES = _NUMPY | _TORCH | _FOUR_BITS
_CODES = "_quantized"

# Whose constants are weights; those of other operators are shapes, bounds and grids.
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Gather", "LSTM", "GRU", "RNN"}
_WEIGHTED |= {"DequantizeLinear"}


def read(path: Path) -> dict[str, Entry]:
    """Read which tensors an ONNX file holds; those in files beside it are read when asked for.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    UserError
        If the package onnx is not installed, the file is damaged, or it names files elsewhere.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingPackageError(
            f"{path} is an ONNX file, which needs the package onnx; run pip install onnx, or write "
            "its weights as safetensors."
        ) from error
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise InvalidFileError(
            f"{path} is a damaged ONNX file ({safe(str(error))}); copy or make it again."
        ) from error
    if model.graph.sparse_initializer:
        raise InvalidFileError(
            f"{path} holds sparse initialisers, which are not read; write its weights as dense ones, or "
            "as safetensors."
        )
    named = [
        *((_text(t.name), t) for t in model.graph.initializer),
        *_constants(model.graph.node, onnx),
    ]
    tensors = dict(named)
    if len(tensors) < len(named) or not tensors:
        raise InvalidFileError(
            f"{path} is no ONNX file with weights (its graph has "
            f"{'two tensors of one name' if tensors else 'no initialisers'}); export the network "
            "with its parameters."
        )
    entries = {name: _entry(name, tensor, path, onnx) for name, tensor in named}
    return _with_scales(entries, model.graph.node, path)


def _constants(nodes: Any, onnx: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the weights that some exporters write as nodes, each with the name of its output."""
    used = {_text(name) for node in nodes if node.op_type in _WEIGHTED for name in node.input}
    for node in nodes:
        name = _text(node.output[0]) if node.op_type == "Constant" and node.output else ""
        for attribute in node.attribute if name in used else ():
            if (
                attribute.name == "value"
                and len(attribute.t.dims)
                and _is_weight(attribute.t, onnx)
            ):
                yield name, attribute.t


def _is_weight(tensor: Any, onnx: ModuleType) -> bool:
    """Whether a constant is of numbers or of codes, and not of places."""
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    return kind in _TYPES and kind not in ("BOOL", "INT32", "INT64")


def _with_scales(entries: dict[str, Entry], nodes: Any, path: Path) -> dict[str, Entry]:
    """Name codes and their scales as other files do, the scales along the axis that the graph says."""
    for node in nodes:
        inputs = [_text(name) for name in node.input]
        if node.op_type != "DequantizeLinear" or not inputs or inputs[0] not in entries:
            continue
        codes, parts = inputs[0], zip(("_scale", "_zero_point"), inputs[1:], strict=False)
        name = codes.removesuffix(_CODES)
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        if name != codes and name not in entries:
            entries[name] = entries.pop(codes)
        if len(inputs) == 2 and name in entries:  # by ONNX the zero point is 0 then
            zero = Entry((1,), lambda: torch.zeros(1, dtype=torch.int32), "int32")
            entries[f"{name}_zero_point"] = zero
        for end, part in parts:
            if part in entries and name in entries:
                entries[name + end] = _along(entries[part], axis, len(entries[name].shape))
                if part != name + end and not any(part in n.input for n in nodes if n is not node):
                    del entries[part]
    left = [n for n, entry in entries.items() if n.endswith(_CODES) and len(entry.shape) >= 2]
    if left:
        raise InvalidFileError(
            f"{path} holds codes whose axis of scales its graph does not say ({listed(left)}); "
            "quantise with DequantizeLinear (QuantFormat.QDQ), or give the network as floats."
        )
    return entries


def _text(name: str | bytes) -> str:
    """Take a name that a damaged file may hold as bytes."""
    return name if isinstance(name, str) else name.decode("utf-8", "replace")


def _along(factor: Entry, axis: int, dimensions: int) -> Entry:
    """Lay a row of scales along an axis of the codes."""
    if len(factor.shape) != 1 or dimensions == 0:
        return factor
    shape = tuple(factor.shape[0] if d == axis % dimensions else 1 for d in range(dimensions))
    return replace(factor, shape=shape, make=lambda: np.asarray(factor.make()).reshape(shape))


def _entry(name: str, tensor: Any, path: Path, onnx: ModuleType) -> Entry:
    known = {number: name for name, number in onnx.TensorProto.DataType.items()}
    kind = known.get(tensor.data_type, f"type {tensor.data_type}")
    dtype = _TYPES.get(kind, kind.lower())
    problem = "" if kind in _TYPES else f"{safe(name)} holds {kind}, which is no number."
    if min(tensor.dims, default=1) < 0:
        raise InvalidFileError(
            f"{path} is a damaged ONNX file ({safe(name)} has the shape "
            f"{tuple(tensor.dims)}); copy or make it again."
        )
    make = partial(_made, name, tensor, kind, path, onnx)
    return Entry(tuple(tensor.dims), make, dtype, problem=problem)


def _made(name: str, tensor: Any, kind: str, path: Path, onnx: ModuleType) -> Any:
    """Take a tensor's numbers out of the graph, or out of the file beside it that it names."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _check_place(tensor, path)
    try:
        values = np.asarray(onnx.numpy_helper.to_array(tensor, str(path.parent)))
        if values.shape != tuple(tensor.dims):
            raise ValueError(f"its shape is {values.shape}")
    except (OSError, ValueError, TypeError, onnx.checker.ValidationError) as error:
        raise InvalidFileError(
            f"{safe(name)} in {path} cannot be read ({safe(str(error))}); copy the file and "
            "those beside it again."
        ) from error
    if kind in _TORCH:
        bits = values.view(np.uint8 if values.itemsize == 1 else np.uint16)
        return torch.from_numpy(bits.copy()).view(getattr(torch, _TORCH[kind]))
    return torch.from_numpy(np.array(values, _TYPES[kind]))


def _check_place(tensor: Any, path: Path) -> None:
    """Refuse numbers outside of the folder, or more of them than the file beside it has."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    inside(_text(said.get("location", "")), path)
