"""GGUF files: the numbers of the package that writes them, and one sentence on what is damaged."""

import re
import struct

import numpy as np
import pytest
import torch

from ap3.comparing.layer_table import compare
from ap3.errors import UserError
from ap3.files.state_dicts import read

gguf = pytest.importorskip("gguf")
TYPES = gguf.GGMLQuantizationType
NAME = "blk.0.attn_q.weight"
WEIGHTS = np.random.default_rng(0).standard_normal((48, 64)).astype("f4")


def written(path, kind, values=WEIGHTS, name=NAME, **more):
    """Write tensors as llama.cpp's tools do, with metadata of every sort beside them."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "größe", ""])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5])
    writer.add_bool("flag", True)
    for key, value in ({name: values} | more).items():
        if kind.name == "F16":
            writer.add_tensor(key, value.astype("f2"))
        else:
            writer.add_tensor(key, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_the_numbers_are_those_of_the_package(tmp_path, kind):
    path = written(tmp_path / "a.gguf", TYPES[kind], extra=WEIGHTS[:3] * 2)
    state = read(path)
    reader = gguf.GGUFReader(path)
    assert list(state) == [tensor.name for tensor in reader.tensors]
    for tensor in reader.tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert state.entries[tensor.name].shape == expected.shape
        assert torch.equal(state[tensor.name].float(), torch.from_numpy(np.array(expected)))


def halved(values):
    return np.where(np.abs(values) > np.median(np.abs(values)), values, 0).astype("f4")


@pytest.mark.parametrize(("kind", "error"), [("F16", 1e-3), ("Q8_0", 0.01), ("Q4_0", 0.2)])
def test_pruned_and_not_pruned_is_told_through_the_codes(tmp_path, kind, error):
    one = written(tmp_path / "one.gguf", TYPES.F32)
    for pruned, values in ((False, WEIGHTS), (True, halved(WEIGHTS))):
        row = compare(one, written(tmp_path / "two.gguf", TYPES[kind], values)).iloc[0]
        expected = np.linalg.norm(WEIGHTS - values) / np.linalg.norm(WEIGHTS)
        assert row["relative_distance"] == pytest.approx(expected, abs=error)
        if kind == "F16":
            assert (row["kind"], row["detail"]) == (
                ("unstructured", "") if pruned else ("rounded", "float16")
            )
        else:
            text = f"quantised to {kind}" if pruned else kind
            assert (row["kind"], row["detail"]) == (
                "unstructured" if pruned else "quantised",
                text,
            )
        assert not row["fine_tuned"]


def test_two_files_of_the_same_codes(tmp_path):
    one = written(tmp_path / "one.gguf", TYPES.Q8_0)
    assert compare(one, one)["kind"].tolist() == ["untouched"]
    table = compare(one, written(tmp_path / "two.gguf", TYPES.Q8_0, halved(WEIGHTS)))
    assert table["kind"].tolist() == ["unstructured"]


def test_a_type_that_the_package_cannot_turn_into_floats(tmp_path):
    path = written(tmp_path / "a.gguf", TYPES.Q8_0)
    content = bytearray(path.read_bytes())
    place = content.index(NAME.encode()) + len(NAME) + 4 + 16
    content[place : place + 4] = struct.pack("<I", TYPES.Q8_1.value)
    content += bytes(len(content))
    path.write_bytes(content)
    with pytest.raises(UserError, match="is of type Q8_1, which the package gguf does not turn"):
        read(path)[NAME]


def header(tensors=0, entries=0, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)


def text(value, length=None):
    return struct.pack("<Q", len(value) if length is None else length) + value


def described(name=b"a", shape=(32, 2), kind=0, start=0):
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, start)


HOSTILE = {
    "nothing": b"GGUF",
    "version": header(version=1),
    "big-endian": header(version=3 << 24),
    "endless tensors": header(tensors=2**63),
    "endless entries": header(entries=2**63),
    "endless name": header(entries=1) + text(b"a", 2**62),
    "endless list": header(entries=1) + text(b"a") + struct.pack("<IIQ", 9, 4, 2**62),
    "endless texts": header(entries=1) + text(b"a") + struct.pack("<IIQ", 9, 8, 2**62),
    "lists of lists": header(entries=1) + text(b"a") + struct.pack("<IIQ", 9, 9, 2**62),
    "unknown value": header(entries=1) + text(b"a") + struct.pack("<I", 77),
    "alignment of 0": header(1, 1)
    + text(b"general.alignment")
    + struct.pack("<II", 4, 0)
    + described(),
    "missing numbers": header(1) + described(),
    "endless numbers": header(1) + described(shape=(2**40, 2**40)),
    "many dimensions": header(1) + described(shape=(1,) * 9),
    "unknown type": header(1) + described(kind=999) + bytes(999),
    "broken rows": header(1) + described(shape=(33, 2), kind=8) + bytes(999),
    "far away": header(1) + described(start=2**62) + bytes(999),
    "one name": header(2) + described() * 2 + bytes(999),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_damaged_files_in_one_sentence(tmp_path, content):
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape("damaged GGUF file")) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_names_that_would_act_on_a_terminal(tmp_path):
    path = written(tmp_path / "a.gguf", TYPES.F32, name="\x1b[2Jfc.weight")
    table = compare(path, path)
    assert table["layer"].tolist() == ["\\x1b[2Jfc"]


def test_a_scale_that_is_not_finite_is_said(tmp_path):
    path = written(tmp_path / "a.gguf", TYPES.Q8_0)
    content = path.read_bytes()
    last = len(content) - 34  # a block: a scale of two bytes, 32 codes
    path.write_bytes(content[:last] + b"\xff\x7f" + content[last + 2 :])
    with pytest.raises(UserError, match="must be finite, but"):
        compare(path, path)
