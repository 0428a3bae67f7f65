"""What was done to a network is told right: drawn networks with a planted truth."""

from collections import Counter

import numpy as np
import pytest
import torch
from planted import KINDS, draw

from ap3.comparing.kept_channels import recognised
from ap3.comparing.layer_table import compare
from ap3.comparing.sums import sums_of
from ap3.comparing.what_was_done import Done, Whole, verdict
from ap3.files.lazy_tensors import StateDict

MIDDLE = "attn.q_proj"


def expected(planted):
    if planted.kind != "channels removed":
        return planted.kind
    sizes = zip(("rows", "columns"), planted.baseline[f"{MIDDLE}.weight"].shape, strict=False)
    return " and ".join(w for w, n in sizes if len(planted.kept[w]) < n) + " removed"


def channels_right(planted):
    """Count the kept channels, and those of them that were recognised."""
    states = [StateDict.of(state).entries for state in (planted.baseline, planted.pruned)]
    kept = recognised(list(planted.baseline), *states)[f"{MIDDLE}.weight"]
    right = (kept.rows == planted.kept["rows"]).sum()
    right += (kept.columns == planted.kept["columns"]).sum()
    return right, sum(map(len, planted.kept.values()))


@pytest.mark.slow
def test_drawn_cases():
    """Of 1,100 drawn networks at least 99 in 100 are told right, and 99 in 100 kept channels."""
    wrong, channels = [], np.zeros(2, int)
    for seed in range(1100):
        planted = draw(KINDS[seed % len(KINDS)], seed)
        row = compare(planted.baseline, planted.pruned).set_index("layer").loc[MIDDLE]
        is_right = row["kind"] == expected(planted)
        if planted.kind not in ("untouched", "dropped", "low rank", "quantised"):
            is_right &= row["fine_tuned"] == planted.is_fine_tuned
        if not is_right:
            wrong.append((seed, planted.kind, row["kind"], row["fine_tuned"]))
        if planted.kind == "channels removed":
            channels += channels_right(planted)
    assert len(wrong) <= 11, Counter(kind for _, kind, _, _ in wrong)
    assert channels[0] >= 0.99 * channels[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_plain_fine_tuning_is_called_pruned(dtype):
    for seed in range(70):
        torch.manual_seed(seed)
        scale, strength = 10 ** -(3 * torch.rand(2))
        shape = (24, 16, 3, 3) if seed % 2 else (64, 48)
        one = torch.randn(shape) * scale
        two = one + torch.randn(shape) * scale * strength
        table = compare({"fc.weight": one.to(dtype)}, {"fc.weight": two.to(dtype)})
        assert table["kind"].tolist() == ["fine-tuned"], seed
        assert table.verdict.startswith("not pruned")


def only(one, two, **options):
    (row,) = compare({"fc.weight": one}, {"fc.weight": two}, **options).itertuples()
    return row


def test_rounding_is_no_fine_tuning():
    one = torch.randn(32, 32)
    assert only(one, one.bfloat16()).kind == "rounded"
    assert only(one, one.bfloat16()).detail == "bfloat16"
    two = (one * (one.abs() > 0.5)).bfloat16()
    assert (only(one, two).kind, only(one, two).fine_tuned) == ("unstructured", False)


def test_few_levels_rank_and_a_layer_of_zeros():
    one = torch.randn(64, 64)
    ternary = 0.8 * one.sign() * (one.abs() > 0.4)
    assert only(one, ternary).detail == "3 levels"
    assert only(one, one[:, :5] @ torch.randn(5, 64)).detail == "rank 5 of 64"
    assert only(one, one * 0).kind == "zeroed whole"


def test_every_pattern_of_n_in_m():
    for n, m in ((1, 4), (2, 4), (4, 8), (2, 8), (8, 16)):
        one = torch.randn(16, 32)
        groups = one.reshape(-1, m)
        keep = groups.abs().argsort(1, descending=True).argsort(1) < n
        row = only(one, (groups * keep).reshape(16, 32))
        # 4:8 as magnitude leaves it is no 2:4; 1:4 is a stricter 2:8.
        assert row.kind == f"{n}:{m}"


def test_the_pattern_of_a_convolution_lies_along_its_inputs():
    one = torch.randn(8, 16, 3, 3)
    along = one.permute(0, 2, 3, 1).reshape(-1, 4)
    keep = along.abs().argsort(1).argsort(1) >= 2
    two = (along * keep).reshape(8, 3, 3, 16).permute(0, 3, 1, 2)
    assert only(one, two).kind == "2:4"


def test_which_rows_and_heads():
    one = np.random.default_rng(0).standard_normal((64, 32))
    two = one.copy()
    two[[1, 3, 4, 5]] = 0
    assert only(one, two).detail == "4 of 64: 1 3-5"
    three = one.copy()
    three.reshape(4, 16, 32)[[1, 3]] = 0
    (row,) = compare({"attn.q_proj.weight": one}, {"attn.q_proj.weight": three}).itertuples()
    assert (row.kind, row.detail) == ("heads zeroed", "2 of 4: 1 3 (16 rows each)")


def test_arguments_the_wrong_way_round():
    one = torch.randn(16, 16)
    two = one * (one.abs() > 0.5)
    assert "wrong way round" in compare({"fc.weight": two}, {"fc.weight": one}).verdict
    big = {"a.weight": torch.randn(16, 8), "b.weight": torch.randn(4, 16)}
    small = {"a.weight": big["a.weight"][:5], "b.weight": big["b.weight"][:, :5]}
    with_head = {"c.weight": torch.ones(2, 2)}
    assert "wrong way round" in compare(small | with_head, big | with_head).verdict


def test_verdicts():
    assert verdict(Whole([Done("untouched")], 4, 0, 0, 0)) == "not pruned: the layer is untouched."
    tuned = verdict(Whole([Done("fine-tuned", "", True), Done("untouched")], 8, 0, 0, 0))
    assert tuned == "not pruned: of 2 layers, 1 fine-tuned, 1 untouched."
    pruned = verdict(Whole([Done("2:4", "", True)], 8, 4, 4, 0))
    assert "2:4 in 1 of 1 layers, 50 % of 8 weights are zero; fine-tuned after it" in pruned


@pytest.mark.parametrize("block", [16, 48, 1000, 2**15])
@pytest.mark.parametrize("shape", [(6, 32), (5, 8, 3, 3), (2, 7)])
def test_sums_do_not_depend_on_the_block(block, shape):
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, *shape))
    two[0], two[:, 3] = 0, 0
    one[1, 1] = 0
    sums = sums_of(one.ravel(), two.ravel(), shape, 7, block)
    assert sums.distance2 == pytest.approx(np.square(one - two).sum(), rel=1e-13)
    assert sums.zeros == (two == 0).sum()
    assert sums.zeros_before == (one == 0).sum()
    assert sums.new_zeros == ((two == 0) & (one != 0)).sum()
    assert sums.changed == sums.unexplained == (one != two).sum()
    assert np.flatnonzero(~sums.rows_used).tolist() == [0]
    assert np.flatnonzero(~sums.columns_used).tolist() == [3]
    groups = np.array_split(one.ravel(), 7)
    np.testing.assert_allclose(sums.sums, [group.sum() for group in groups], rtol=1e-12)
