"""What must hold for the latent laws, each over random weights; and what they refuse."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ap3.errors import UserError
from ap3.latent import (
    DenseRotation,
    DiagonalFisherGaussian,
    DiagonalGaussian,
    FastRotation,
    FisherGaussian,
    IsotropicGaussian,
    SoftmaxCurvature,
    SpectralGaussian,
    StudentT,
    default_spectrum,
)


def fisher(law):
    def make(weights):
        rng = np.random.default_rng(1)
        n = np.size(weights)
        curvature = SoftmaxCurvature(rng.normal(size=(5, 1)), rng.normal(size=(5, n)), damping=0.1)
        return law(weights, curvature, scale=0.5)

    return make


def spectral(rotation):
    def make(weights):
        n = np.size(weights)
        return SpectralGaussian(weights, rotation(n, 0), default_spectrum(n), scale=0.7)

    return make


LAWS = {
    "isotropic": lambda w: IsotropicGaussian(w, 0.7),
    "diagonal": lambda w: DiagonalGaussian(w, np.linspace(0.5, 2, np.size(w))),
    "dense": spectral(DenseRotation.draw),
    "fast": spectral(FastRotation),
    "fisher": fisher(FisherGaussian),
    "fisher-diagonal": fisher(DiagonalFisherGaussian),
    "student-t": lambda w: StudentT(w, df=4, scale=0.7, groups=None),
    "student-t-grouped": lambda w: StudentT(w, df=4, scale=0.7, groups=3),
}
EVERY = sorted(LAWS)
UNGROUPED = [name for name in EVERY if name != "student-t-grouped"]
# These see the Euclidean norm of the difference only.
ISOTROPIC = ["isotropic", "student-t"]
LINEAR_IN_SIZE = [name for name in EVERY if name != "dense"]

quick = settings(derandomize=True, database=None, deadline=None, max_examples=30)


@st.composite
def pairs(draw):
    """Two float32 vectors of one length."""
    n = draw(st.integers(1, 12))
    numbers = st.floats(-100, 100, width=32, allow_subnormal=False)
    return draw(arrays(np.float32, n, elements=numbers)), draw(
        arrays(np.float32, n, elements=numbers)
    )


@pytest.mark.parametrize("name", EVERY)
@quick
@given(pairs())
def test_never_negative_and_zero_for_equal_weights(name, pair):
    law = LAWS[name](pair[0])
    assert law.kl(law.at(pair[0])) == 0
    assert law.kl(law.at(pair[1])) >= 0


@pytest.mark.parametrize("name", UNGROUPED)
@quick
@given(pairs())
def test_zero_for_equal_weights_only(name, pair):
    assume(not np.array_equal(*pair))
    law = LAWS[name](pair[0])
    assert law.kl(law.at(pair[1])) > 0


@pytest.mark.parametrize("name", EVERY)
@quick
@given(pairs())
def test_symmetric(name, pair):
    one = LAWS[name](pair[0])
    two = one.at(pair[1])
    assert one.kl(two) == pytest.approx(two.kl(one), rel=1e-13)


@pytest.mark.parametrize("name", ISOTROPIC)
@quick
@given(pairs(), st.randoms(use_true_random=False))
def test_order_of_weights_is_of_no_matter(name, pair, random):
    order = list(range(len(pair[0])))
    random.shuffle(order)
    law, moved = LAWS[name](pair[0]), LAWS[name](pair[0][order])
    assert moved.kl(moved.at(pair[1][order])) == pytest.approx(law.kl(law.at(pair[1])), rel=1e-12)


@pytest.mark.parametrize("name", ISOTROPIC)
@quick
@given(pairs(), st.randoms(use_true_random=False))
def test_monotone_in_the_norm_of_the_difference(name, pair, random):
    n = len(pair[0])
    law = LAWS[name](np.zeros(n))
    nearer, farther = sorted(pair, key=lambda w: np.linalg.norm(w.astype(float)))
    assert law.kl(law.at(nearer)) <= law.kl(law.at(farther)) * (1 + 1e-12)


@pytest.mark.parametrize("name", EVERY)
@quick
@given(pairs(), st.floats(0, 1), st.floats(0, 1))
def test_monotone_along_a_line(name, pair, s, t):
    law = LAWS[name](np.zeros(len(pair[0])))
    nearer, farther = sorted([s, t])
    weights = pair[0].astype(float)
    kl = law.kl_many([nearer * weights, farther * weights])
    assert kl[0] <= kl[1] * (1 + 1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_many_at_once(name, monkeypatch):
    rng = np.random.default_rng(2)
    law = LAWS[name](rng.normal(size=(4, 3)))
    stack = rng.normal(size=(5, 4, 3)).astype(np.float32)
    single = [law.kl(law.at(weights)) for weights in stack]
    np.testing.assert_allclose(law.kl_many(stack), single, rtol=1e-13)
    np.testing.assert_allclose(law.kl_many(torch.tensor(stack)), single, rtol=1e-13)
    np.testing.assert_allclose(law.kl_many(stack.reshape(5, 12)), single, rtol=1e-13)
    assert law.kl_many(stack[:0]).shape == (0,)
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", 24)
    monkeypatch.setattr("ap3.latent.fisher.BLOCK", 24)
    np.testing.assert_allclose(law.kl_many(stack), single, rtol=1e-13)


@pytest.mark.parametrize("name", EVERY)
def test_precision_of_the_input_is_of_no_matter(name):
    one, two = np.array([1, 0, -2, 3]), np.array([[0.5, 0], [2, -0.25]])
    law = LAWS[name](one)
    expected = law.kl(law.at(two))
    # Every value is exact in each of these types.
    kinds = [np.float16, np.float32, np.float64, np.longdouble]
    kinds += [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    for kind in kinds:
        cast = torch.tensor(two).to(kind) if isinstance(kind, torch.dtype) else two.astype(kind)
        assert law.kl(law.at(cast)) == expected
        assert law.kl_many(cast[None])[0] == pytest.approx(expected, rel=1e-15)
    layer = torch.nn.Parameter(torch.tensor(two, dtype=torch.bfloat16))
    assert law.kl(law.at(layer)) == expected


@pytest.mark.parametrize("name", LINEAR_IN_SIZE)
@pytest.mark.parametrize("n", [1, 2, 3, 99, 100, 101, 9_973, 1_000_000])
def test_any_size(name, n):
    law = LAWS[name](np.random.default_rng(3).normal(size=n))
    half, nothing = law.kl_many([0.5 * law.weights, np.zeros(n)])
    assert 0 < half < nothing
    if name not in ("student-t", "student-t-grouped"):
        assert nothing == pytest.approx(4 * half, rel=1e-12)


def test_weights_are_copied():
    weights = np.ones(3)
    law = IsotropicGaussian(weights, 0.5)
    weights[0] = 0
    assert law.kl(law.at(weights)) == 1


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ([1.0, np.nan, 2.0], "NaN"),
        ([1.0, np.inf, 2.0], "infinite"),
        ([1.0, 2.0, 1j], "complex"),
        (torch.ones(3, dtype=torch.complex64), "complex"),
        (["a", "b", "c"], "real numbers"),
        ([1.0, 2.0], "equally many"),
        ([], "empty"),
        ([[1.0], [2.0, 3.0]], "unequal lengths"),
        (np.full(3, np.longdouble("1e400")), "infinite"),
    ],
)
def test_bad_weights_are_refused_in_one_sentence(name, weights, found):
    law = LAWS[name](np.ones(3))
    with pytest.raises(UserError, match=found) as refusal:
        law.at(weights)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("stack", [np.ones(3), np.ones((2, 4)), [[1.0, 2.0, np.nan]]])
def test_bad_stacks_are_refused(stack):
    with pytest.raises(UserError):
        IsotropicGaussian(np.ones(3), 1.0).kl_many(stack)


def test_laws_that_share_too_little_are_refused():
    weights, spectrum = np.ones(4), default_spectrum(4)
    law = StudentT(weights, df=4, scale=1.0, groups=2)
    rotated = SpectralGaussian(weights, FastRotation(4, 0), spectrum, 1.0)
    refused = [
        (law, StudentT(weights, df=5, scale=1.0, groups=2), "df"),
        (law, StudentT(weights, df=4, scale=2.0, groups=2), "scale"),
        (law, StudentT(weights, df=4, scale=1.0, groups=None), "groups"),
        (law, IsotropicGaussian(weights, 1.0), "IsotropicGaussian"),
        (IsotropicGaussian(weights, 1.0), law, "StudentT"),
        (IsotropicGaussian(weights, 1.0), IsotropicGaussian(np.ones(5), 1.0), "equally many"),
        (rotated, SpectralGaussian(weights, FastRotation(4, 3), spectrum, 1.0), "rotation"),
        (rotated, SpectralGaussian(weights, FastRotation(4, 0), spectrum**2, 1.0), "spectrum"),
        (LAWS["fisher"](weights), LAWS["fisher"](weights), "curvature"),
    ]
    for one, two, reason in refused:
        with pytest.raises(UserError, match=reason):
            one.kl(two)
    assert rotated.kl(SpectralGaussian(0 * weights, FastRotation(4, 0), spectrum, 1.0)) > 0


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, "auto", None])
def test_bad_parameters_are_refused(value):
    weights = np.ones(2)
    curvature = SoftmaxCurvature([[1.0]], [[0.0, 1.0]])
    makers = [
        lambda: IsotropicGaussian(weights, value),
        lambda: SpectralGaussian(weights, FastRotation(2, 0), [1, 2], value),
        lambda: StudentT(weights, df=value),
        lambda: StudentT(weights, scale=value),
        lambda: FisherGaussian(weights, curvature, value),
        lambda: DiagonalFisherGaussian(weights, curvature, value),
    ]
    for make in makers:
        with pytest.raises(UserError, match="positive"):
            make()


def test_bad_shapes_of_parameters_are_refused():
    with pytest.raises(UserError, match="variances"):
        DiagonalGaussian([1.0, 2.0], [1.0])
    with pytest.raises(UserError, match="variances"):
        DiagonalGaussian([1.0, 2.0], [1.0, 0.0])
    with pytest.raises(UserError, match="rotation"):
        SpectralGaussian([1.0, 2.0], FastRotation(3, 0), [1.0, 2.0], 1.0)
    with pytest.raises(UserError, match="groups"):
        StudentT([1.0], groups=0)
    with pytest.raises(UserError, match="groups"):
        StudentT([1.0], groups=2.5)
