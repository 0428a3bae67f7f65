"""ONNX files: initialisers as the package reads them; scales along the axis that the graph says."""

import contextlib

import numpy as np
import pytest

from ap3.comparing.layer_table import compare
from ap3.errors import UserError
from ap3.files.state_dicts import plain, read

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

WEIGHTS = np.random.default_rng(0).standard_normal((16, 16)).astype("f4")


def saved(path, tensors, nodes=(), **options):
    """Write a graph with these initialisers."""
    protos = [
        t if isinstance(t, TensorProto) else numpy_helper.from_array(t, n)
        for n, t in tensors.items()
    ]
    graph = helper.make_graph(list(nodes), "graph", [], [], initializer=protos)
    onnx.save(helper.make_model(graph), path, **options)
    return path


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int8", "uint8", "int32", "int64", "bool"]
)
def test_numbers_of_every_type(tmp_path, dtype):
    values = (WEIGHTS * 4).astype(dtype)
    state = read(saved(tmp_path / "a.onnx", {"fc.weight": values}))
    assert state.entries["fc.weight"].dtype == dtype
    np.testing.assert_array_equal(state["fc.weight"], values)


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2"])
def test_short_floats(tmp_path, kind):
    proto = helper.make_tensor("w", getattr(TensorProto, kind), (16, 16), WEIGHTS.ravel().tolist())
    expected = numpy_helper.to_array(proto).astype("f4")
    made = read(saved(tmp_path / "a.onnx", {"w": proto}))["w"]
    np.testing.assert_array_equal(made.float().numpy(), expected)


def test_pruned_networks_are_compared(tmp_path):
    cut = np.where(np.abs(WEIGHTS) > 0.7, WEIGHTS, 0)
    one = saved(tmp_path / "one.onnx", {"fc.weight": WEIGHTS, "fc.bias": WEIGHTS[0]})
    two = saved(tmp_path / "two.onnx", {"fc.weight": cut, "fc.bias": WEIGHTS[0]})
    (row,) = compare(one, two).itertuples()
    assert (row.layer, row.kind) == ("fc", "unstructured")
    assert row.sparsity == (cut == 0).mean()


def test_weights_in_nodes_are_weights_and_shapes_are_none(tmp_path):
    """One layer's weights are an initialiser, the other's a node: neither may be left out."""
    shape = np.array([[2.0, 3.0]], "f4")
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))
        for name, values in (("second", 2 * WEIGHTS), ("shape", shape))
    ]
    nodes += [
        helper.make_node("Gemm", ["x", "first"], ["h"]),
        helper.make_node("MatMul", ["h", "second"], ["y"]),
        helper.make_node("Reshape", ["y", "shape"], ["z"]),
    ]
    state = read(saved(tmp_path / "a.onnx", {"first": WEIGHTS}, nodes))
    assert sorted(state) == ["first", "second"]
    np.testing.assert_array_equal(state["second"], 2 * WEIGHTS)
    assert list(read(saved(tmp_path / "b.onnx", {}, nodes))) == ["second"]


def test_numbers_in_a_file_beside_it(tmp_path):
    options = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 0}
    path = saved(tmp_path / "a.onnx", {"w": WEIGHTS}, **options)
    np.testing.assert_array_equal(read(path)["w"], WEIGHTS)
    (tmp_path / "w.bin").write_bytes(b"short")
    with pytest.raises(UserError, match=r"w in .* cannot be read"):
        read(path)["w"]


@pytest.mark.parametrize("place", ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", ""])
def test_no_file_outside_of_the_folder_is_read(tmp_path, place):
    proto = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(1, 1))
    proto.data_location = TensorProto.EXTERNAL
    proto.external_data.add(key="location", value=place)
    with pytest.raises(UserError, match="outside of its folder"):
        read(saved(tmp_path / "a.onnx", {"w": proto}))["w"]


@pytest.mark.parametrize("axis", [0, 1, None])
def test_scales_lie_along_the_axis_that_the_graph_says(tmp_path, axis):
    """Of a square layer nothing but the graph tells rows from columns."""
    along = 1 if axis is None else axis
    scale = np.abs(WEIGHTS).max(1 - along) / 127
    factor = scale[:, None] if along == 0 else scale
    codes = np.round(WEIGHTS / factor).astype("i1")
    more = {} if axis is None else {"axis": axis}
    node = helper.make_node("DequantizeLinear", ["fc.weight_quantized", "s", "z"], ["x"], **more)
    tensors = {"fc.weight_quantized": codes, "s": scale, "z": np.zeros(16, "i1")}
    state = plain(read(saved(tmp_path / "a.onnx", tensors, [node])))
    assert list(state) == ["fc.weight"]
    np.testing.assert_allclose(state["fc.weight"], codes * factor, rtol=1e-6)


def test_codes_without_a_zero_point_have_zero_as_onnx_says(tmp_path):
    codes = np.arange(16, dtype="u1").reshape(4, 4)
    tensors = {"fc.weight_quantized": codes, "s": np.array(0.5, "f4")}
    node = helper.make_node("DequantizeLinear", ["fc.weight_quantized", "s"], ["x"])
    state = plain(read(saved(tmp_path / "a.onnx", tensors, [node])))
    np.testing.assert_array_equal(state["fc.weight"], codes * 0.5)


def test_codes_whose_axis_nobody_says_are_refused(tmp_path):
    tensors = {"w_quantized": np.ones((4, 4), "i1"), "w_scale": np.ones(4, "f4")}
    with pytest.raises(UserError, match="codes whose axis of scales its graph does not say"):
        read(saved(tmp_path / "a.onnx", tensors))


@pytest.mark.parametrize(
    ("proto", "sentence"),
    [
        (TensorProto(name="w", data_type=1, dims=(2**40, 2**20)), "cannot be read"),
        (TensorProto(name="w", data_type=1, dims=(2, 2), raw_data=b"abc"), "cannot be read"),
        (TensorProto(name="w", data_type=1, dims=(-1, 2), raw_data=bytes(16)), "damaged ONNX"),
        (TensorProto(name="w", data_type=8, dims=(1, 1)), "holds STRING"),
        (TensorProto(name="w", data_type=90, dims=(1, 1)), "holds type 90"),
    ],
)
def test_damaged_tensors(tmp_path, proto, sentence):
    path = saved(tmp_path / "a.onnx", {"w": proto})
    with pytest.raises(UserError, match=sentence):
        read(path)["w"]


@pytest.mark.parametrize("content", [b"", b"\x08\x07\x12", b"hello", b"\xff" * 50])
def test_what_is_no_onnx(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(UserError, match="ONNX file"):
        read(tmp_path / "a.onnx")


def test_a_flipped_byte_of_a_name(tmp_path):
    """In a name of an input protobuf leaves bytes that are no text as bytes."""
    node = helper.make_node("DequantizeLinear", ["codes", "scale"], ["x"], axis=0)
    path = saved(
        tmp_path / "a.onnx", {"codes": np.ones((4, 4), "i1"), "scale": np.ones(4, "f4")}, [node]
    )
    content = path.read_bytes()
    for old, new in ((b"codes", b"c\xffdes"), (b"scale", b"s\xffale")):
        for place in (content.index(old), content.rindex(old)):
            path.write_bytes(content[:place] + new + content[place + len(old) :])
            with contextlib.suppress(UserError):
                assert len(read(path)) in (2, 3)  # with a zero point, where the node is whole


def test_sparse_initialisers_are_refused(tmp_path):
    """They would be layers that the network lacks."""
    values = numpy_helper.from_array(WEIGHTS[0, :2], "fc.weight")
    places = numpy_helper.from_array(np.array([1, 5], "i8"), "places")
    sparse = helper.make_sparse_tensor(values, places, [16, 16])
    dense = [numpy_helper.from_array(WEIGHTS, "other.weight")]
    graph = helper.make_graph([], "graph", [], [], dense, sparse_initializer=[sparse])
    onnx.save(helper.make_model(graph), tmp_path / "a.onnx")
    with pytest.raises(UserError, match="sparse initialisers"):
        read(tmp_path / "a.onnx")
