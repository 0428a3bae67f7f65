"""Codes with scales beside them: the weights meant are (code − zero point) · scale.

One scale stands for the whole tensor, a row of it, a group of columns or a block. What is packed
several codes to a number is refused with the line that unpacks it.
"""

import math
import re
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ap3.errors import InvalidFileError
from ap3.files.dense_tensors import dense
from ap3.files.lazy_tensors import Entry, Shape
from ap3.files.safe_names import listed, safe

_CODES = ("int8", "uint8", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
# In place of the weights' own name, {} being what it is called and [] its layer.
_SCALES = (
    "{}_scale",
    "{}_scale_inv",  # multiplied as well, whatever its name says
    "{}.scale",
    "{}.scales",
    "{}_scales",
    "[]scale_weight",
    "[]scale",
    "[]scales",
)
_OWN_ZERO_POINTS = ("{}_zero_point", "{}.zero_point")
_ZERO_POINTS = (*_OWN_ZERO_POINTS, "[]zero_point")
_MAY_BE_SCALE = re.compile(r"(?!input|output|act|[kv]_).*(scal|amax)")
_MAY_BE_ZERO_POINTS = ("zero", "zeros", "zero_points", "qzero", "qzeros", "offset", "zp", "shift")
_BITSANDBYTES_SCALE = "[]SCB"
_PACKED = {
    "qweight": "GPTQ or AWQ",
    "qzeros": "GPTQ or AWQ",
    "weight_packed": "compressed-tensors",
    "quant_map": "bitsandbytes (four bits)",
    "_packed_params": "torch.ao",
}
_USUAL_BLOCK = 128
_UNPACK = (
    "AutoModelForCausalLM.from_pretrained(FOLDER).dequantize().save_pretrained(OUT), or the tool that "
    "packed them, writes them as floats"
)


def dequantised(entries: dict[str, Entry]) -> tuple[dict[str, Entry], list[str]]:
    """Multiply scales into the codes beside them.

    Parameters
    ----------
    entries
        Tensors by name.

    Returns
    -------
    dict, list
        The tensors without the scales, and sentences on what was multiplied.

    Raises
    ------
    UserError
        If weights are packed, several codes to a number.
    """
    _refuse_packed(entries)
    entries, names = dict(entries), list[str]()
    possible = _may_be_scales(entries)
    for name, codes in list(entries.items()):
        if name not in entries or len(codes.shape) < 2 or codes.dtype not in _CODES:
            continue
        if name.endswith(tuple(part.removeprefix("{}") for part in _OWN_ZERO_POINTS)):
            continue
        scale_name = _first(entries, name, (*_SCALES, _BITSANDBYTES_SCALE))
        if scale_name is None:
            entries[name] = _without_scale(name, entries, possible)
            continue
        # What a layer puts out may have a scale and a zero point there, too.
        is_own = scale_name.startswith(name)
        zero_name = _first(entries, name, _OWN_ZERO_POINTS if is_own else _ZERO_POINTS)
        scale, zero = entries.pop(scale_name), entries.pop(zero_name) if zero_name else None
        divisor = 127.0 if scale_name.endswith("SCB") else 1.0
        entries[name] = _weights(name, codes, scale, zero, divisor)
        if zero is None and (problem := _zero_point_missing(name, codes, entries)):
            entries[name] = replace(entries[name], problem=problem)
        names.append(name)
    said = f"{listed(names)} were dequantised with the scales beside them." if names else ""
    return entries, [said] if said else []


def _refuse_packed(entries: dict[str, Entry]) -> None:
    for name in entries:
        parts = name.split(".")
        for part in parts[-2:]:
            if part in _PACKED:
                raise InvalidFileError(
                    f"{safe(name)} is a part of weights that {_PACKED[part]} packed, several codes to "
                    f"a number; {_UNPACK}."
                )
        if name.endswith("_blocks") and f"{name.removesuffix('_blocks')}_scales" in entries:
            raise InvalidFileError(f"{safe(name)} holds packed four-bit floats (MXFP4); {_UNPACK}.")


def _may_be_scales(entries: dict[str, Entry]) -> dict[str, list[str]]:
    """Group what may be a scale by all modules around it, each as the beginning of its name."""
    found: dict[str, list[str]] = {}
    for name in entries:
        for dot in re.finditer(r"\.", name):
            if _MAY_BE_SCALE.match(name, dot.end()):
                found.setdefault(name[: dot.end()], []).append(name)
    return found


def _without_scale(name: str, entries: dict[str, Entry], possible: dict[str, list[str]]) -> Entry:
    """Refuse codes beside which a scale stands under a name that is not known."""
    codes, layer = entries[name], name[: name.rfind(".") + 1]
    beside = [each for each in possible.get(layer, ()) if each in entries and each != name]
    scales = [each.removeprefix(layer) for each in beside]
    if not scales:
        return codes
    problem = (
        f"{name} holds codes of type {codes.dtype}, and {listed(scales)} beside it may be their "
        f"scale, by a name that is not known; {_UNPACK}."
    )
    return replace(codes, problem=problem)


def _zero_point_missing(name: str, codes: Entry, entries: dict[str, Entry]) -> str:
    """Refuse codes whose zero point stands beside them by an unknown name, or nowhere at all."""
    layer = name[: name.rfind(".") + 1]
    beginnings = (layer, f"{name}_", f"{name}.", f"{layer}weight_", f"{layer}weight.")
    named = (begin + end for begin in beginnings for end in _MAY_BE_ZERO_POINTS)
    beside = [each.removeprefix(layer) for each in dict.fromkeys(named) if each in entries]
    if beside:
        return (
            f"{name} holds codes of type {codes.dtype}, and {listed(beside)} beside it may be their "
            f"zero point, by a name that is not known; {_UNPACK}."
        )
    if codes.dtype == "uint8":
        return (
            f"{name} holds codes without a sign and without a zero point: several codes to a number, "
            f"or a zero point that is left out; {_UNPACK}."
        )
    return ""


def _first(entries: dict[str, Entry], name: str, patterns: tuple[str, ...]) -> str | None:
    """Find the first tensor that is called as one of the patterns says."""
    layer = name[: name.rfind(".") + 1]
    names = (pattern.replace("{}", name).replace("[]", layer) for pattern in patterns)
    return next((each for each in names if each in entries and each != name), None)


def _weights(name: str, codes: Entry, scale: Entry, zero: Entry | None, divisor: float) -> Entry:
    problem = ""
    if scale.dtype not in ("float32", "float16", "bfloat16", "float64", "float8_e8m0fnu"):
        problem = f"{name} has a scale of type {scale.dtype}, which is no real number; {_UNPACK}."
    for factor in (scale, zero):
        if factor is not None and _blocks(factor.shape, codes.shape) is None:
            problem = (
                f"{name} has codes of shape {codes.shape} and scales or zero points of shape "
                f"{factor.shape}, which don't fit; {_UNPACK}."
            )
    make = partial(_product, codes, scale, zero, divisor)
    return Entry(codes.shape, make, "float32", None, problem, codes.dtype)


def _product(codes: Entry, scale: Entry, zero: Entry | None, divisor: float) -> Any:
    values = dense(codes).to(torch.float32)
    if zero is not None:
        values = values - _spread(dense(zero).float(), codes.shape)
    return values * _spread(dense(scale).float() / divisor, codes.shape)


def _spread(factor: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Repeat a factor over the rows, columns or blocks that it stands for."""
    blocks = _blocks(tuple(factor.shape), shape)
    if blocks is None:
        raise InvalidFileError(
            f"scales of shape {tuple(factor.shape)} don't fit codes of shape {shape}."
        )
    if factor.numel() == 1:
        return factor.reshape(())
    factor = factor.reshape(tuple(factor.shape) + (1,) * (len(shape) - factor.ndim))
    for axis, (block, size) in enumerate(zip(blocks, shape, strict=True)):
        if block > 1 and factor.shape[axis] > 1:
            factor = factor.repeat_interleave(block, axis).narrow(axis, 0, size)
    return factor


def _blocks(factor: Shape, shape: Shape) -> Shape | None:
    """Tell how many rows, columns, … one number of a factor stands for; None if it cannot be.

    >>> _blocks((1,), (8, 6)), _blocks((8,), (8, 6)), _blocks((2, 3), (8, 6))
    ((8, 6), (1, 6), (4, 2))
    >>> _blocks((3, 2), (300, 256)), _blocks((5,), (8, 6))
    ((128, 128), None)
    """
    if math.prod(factor) == 1:
        return shape
    if len(factor) > len(shape):
        return None
    factor = factor + (1,) * (len(shape) - len(factor))
    widths = [_widths(count, size) for count, size in zip(factor, shape, strict=True)]
    certain = {some[0] for some in widths if len(some) == 1} | {_USUAL_BLOCK}
    chosen = [some if len(some) == 1 else [w for w in some if w in certain] for some in widths]
    return tuple(some[0] for some in chosen) if all(len(some) == 1 for some in chosen) else None


def _widths(count: int, size: int) -> list[int]:
    """Widths that `count` equal blocks may have that cover `size`, the last one cut off or not.

    Where they are cut off, the width is a power of two, as all tools have it.
    """
    if not 0 < count <= size:
        return []
    if count in (1, size):
        return [size // count]
    power = 2 ** math.ceil(math.log2(size / count))
    even = [size // count] if size % count == 0 else []
    return list(dict.fromkeys(even + ([power] if math.ceil(size / power) == count else [])))
