"""Odd tensors and arrays, wherever they stand: the numbers meant, or one sentence."""

import numpy as np
import pytest
import torch

from ap3.comparing.layer_table import compare
from ap3.errors import UserError
from ap3.files.dense_tensors import dense
from ap3.files.lazy_tensors import Entry, StateDict
from ap3.files.state_dicts import plain

WEIGHTS = np.random.default_rng(0).standard_normal((8, 4)).astype("f4")
MASK = np.abs(WEIGHTS) > 0.5
TENSOR = torch.from_numpy(WEIGHTS)
READ_ONLY = WEIGHTS.copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    "value",
    [
        WEIGHTS.astype(">f4"),
        WEIGHTS.astype(np.longdouble),
        np.asfortranarray(WEIGHTS),
        WEIGHTS[::-1][::-1],
        READ_ONLY,
        TENSOR.to_sparse(),
        TENSOR.T.contiguous().T,
        torch.nn.Parameter(TENSOR),
    ],
)
def test_one_tensor_in_many_forms(value):
    made = dense(StateDict.of({"w": value}).entries["w"])
    torch.testing.assert_close(made.float(), TENSOR, rtol=0, atol=0)
    assert not made.requires_grad


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(2, 2, device="meta"),
        np.array([["a", "b"]]),
        np.zeros(2, "datetime64[s]"),
        np.array([object()]),
    ],
)
def test_what_holds_no_numbers(value):
    with pytest.raises(UserError, match=r"meta tensor|cannot be made dense"):
        dense(Entry((2, 2), lambda: value))


@pytest.mark.parametrize("weights", [WEIGHTS, TENSOR, TENSOR.bfloat16(), TENSOR.to_sparse()])
@pytest.mark.parametrize("mask", [MASK, torch.from_numpy(MASK), torch.from_numpy(MASK).bfloat16()])
def test_arrays_and_tensors_go_together(weights, mask):
    state = plain({"fc.weight_orig": weights, "fc.weight_mask": mask})
    expected = torch.where(torch.from_numpy(MASK), TENSOR, 0)
    if getattr(weights, "dtype", None) == torch.bfloat16:
        expected = expected.bfloat16().float()
    assert torch.equal(state["fc.weight"].float(), expected)


def test_scales_that_need_a_gradient_or_are_sparse():
    codes = torch.randint(-9, 9, (8, 4)).to(torch.int8)
    scale = torch.full((8, 1), 0.5)
    for one in (scale.clone().requires_grad_(), scale.to_sparse(), scale.numpy()):
        state = plain({"fc.weight": codes, "fc.weight_scale": one})
        assert torch.equal(state["fc.weight"], codes * 0.5)
    with pytest.raises(UserError, match="meta tensor"):
        plain({"fc.weight": codes, "fc.weight_scale": scale.to("meta")})["fc.weight"]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_tensors_that_torch_quantised():
    codes = torch.quantize_per_tensor(TENSOR, 0.05, 0, torch.qint8)
    (row,) = compare({"fc.weight": TENSOR}, {"fc.weight": codes}).itertuples()
    assert row.ap2 == pytest.approx((TENSOR - codes.dequantize()).square().sum().item())


def test_a_mask_of_a_sparsifier_that_does_not_fit():
    odd = {
        "fc.parametrizations.weight.original": torch.ones(3, 4),
        "fc.parametrizations.weight.0.mask": torch.ones(16, 1),
    }
    with pytest.raises(UserError, match="a mask of shape"):
        plain(odd)


def test_a_sparse_tensor_of_a_type_that_torch_cannot_make_dense():
    values = torch.ones(1).to(torch.float8_e8m0fnu)
    odd = torch.sparse_coo_tensor([[0], [0]], values, (4, 4), check_invariants=True)
    with pytest.raises(UserError, match="is a sparse tensor of type float8_e8m0fnu"):
        compare({"fc.weight": odd}, {"fc.weight": odd})


def test_a_dictionary_that_holds_itself():
    state = {"fc.weight": TENSOR}
    state["self"] = state
    assert compare(state, {"fc.weight": TENSOR})["ap2"].tolist() == [0]


def test_rows_of_short_floats_in_numpy():
    row = compare({"fc.weight": WEIGHTS.astype("f2")}, {"fc.weight": WEIGHTS.astype("f2") * 2})
    assert row["kind"].tolist() == ["fine-tuned"]
