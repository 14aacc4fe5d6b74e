"""The binary negative log-likelihood against its definition, at its extremes, and against PyTorch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dpnet.nn.losses.binary_nll import BinaryNLL, sigmoid

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(logits, targets, scale=1.0, weights=None, dtype=np.float64):
    """Loss, hits and gradient."""
    logits, targets = np.array(logits, dtype, ndmin=2), np.array(targets, bool, ndmin=2)
    loss, hits = BinaryNLL(len(logits) + 2, logits.shape[1], dtype)(logits, targets, scale, weights)
    return loss, hits, logits


logit = st.floats(-30, 30).map(lambda number: round(number, 3))


@given(
    logits=arrays(np.float64, (3, 2), elements=logit),
    targets=arrays(np.bool_, (3, 2)),
    weights=st.none() | arrays(np.float64, 3, elements=st.floats(0, 9)),
)
def test_loss_gradient_and_hits_are_those_of_the_definition(logits, targets, weights):
    loss, hits, gradient = run(logits, targets, 0.25, weights)
    p, w = 1 / (1 + np.exp(-logits)), [1.0] * 3 if weights is None else weights.tolist()
    of_label = np.where(targets, np.logaddexp(0, -logits), np.logaddexp(0, logits))  # -log p and -log (1 - p)
    assert loss == pytest.approx(math.fsum(w[n] * of_label[n].mean() for n in range(3)), rel=1e-12, abs=1e-300)
    assert hits == pytest.approx(math.fsum(w[n] for n in range(3) if ((logits[n] > 0) == targets[n]).all()), rel=1e-15)
    expected = (p - targets) * np.array(w)[:, np.newaxis] * 0.25 / 2
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-13)


@both_dtypes
@pytest.mark.parametrize("size", [90.0, 1e4, 1e30, 3e38])
def test_a_huge_logit_on_the_wrong_side_costs_its_size_and_on_the_right_side_nothing(dtype, size):
    loss, hits, gradient = run([[size, -size], [-size, size]], [[1, 0], [1, 0]], dtype=dtype)
    assert loss == pytest.approx(size, rel=1e-6)
    assert hits == 1
    np.testing.assert_allclose(gradient, [[0, 0], [-0.5, 0.5]], atol=1e-37)


def test_what_is_left_of_a_gradient_is_no_difference_of_two_numbers_near_1():
    # p rounds to 1, and p - 1 would be 0.
    _, _, gradient = run([[50.0]], [[1]])
    assert gradient[0, 0] == pytest.approx(-math.exp(-50), rel=1e-12)


@both_dtypes
def test_a_logit_of_0_is_half_a_label_and_predicts_none(dtype):
    loss, hits, gradient = run([[0.0, 0.0], [-0.0, 0.0]], [[0, 0], [1, 0]], dtype=dtype)
    assert loss == pytest.approx(2 * math.log(2), rel=1e-6)
    assert hits == 1
    assert gradient.tolist() == [[0.25, 0.25], [-0.25, 0.25]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("target", [0, 1])
def test_a_logit_that_is_not_finite_gives_a_loss_that_is_not(bad, target):
    with np.errstate(invalid="ignore"):
        assert not math.isfinite(run([[0.0, bad], [0.0, 0.0]], [[0, target], [0, 0]])[0])


def test_no_rows_count_nothing():
    nothing = np.empty((0, 2))
    assert run(nothing, nothing)[:2] == (0, 0)
    assert run(nothing, nothing, weights=np.empty(0))[:2] == (0, 0)


def test_a_row_of_weight_three_counts_as_three_rows_and_one_of_weight_zero_as_none():
    rng = np.random.default_rng(4)
    logits, targets, weights = rng.standard_normal((9, 2)), rng.random((9, 2)) < 0.5, rng.integers(0, 4, 9)
    rows = np.repeat(np.arange(9), weights)
    weighted, repeated = run(logits, targets, 0.5, weights.astype(float)), run(logits[rows], targets[rows])
    assert weighted[:2] == pytest.approx(repeated[:2], rel=1e-13)
    np.testing.assert_allclose(weighted[2], run(logits, targets, 0.5)[2] * weights[:, None], rtol=1e-14)


def test_a_weight_whose_inverse_is_beyond_float32_gives_a_finite_gradient():
    weights = np.array([1e-42, 3e-42])
    _, _, gradient = run([[1.0], [1.0]], [[0], [1]], 1 / weights.sum(), weights, dtype=np.float32)
    np.testing.assert_allclose(gradient, [[0.25 / (1 + math.exp(-1))], [-0.75 / (1 + math.e)]], rtol=1e-5)


def test_the_loss_of_float32_is_summed_in_float64():
    rows = 3000
    loss, _, gradient = run(np.full((rows, 1), 1e-3), np.zeros((rows, 1)), dtype=np.float32)
    assert gradient.dtype == np.float32
    assert loss == pytest.approx(rows * math.log1p(math.exp(np.float32(1e-3))), rel=1e-7)


@both_dtypes
def test_probabilities_are_those_of_the_logits_and_above_a_half_just_where_the_logit_is_above_0(dtype):
    logits = np.array([[-1e4, -3.0, -1e-30, -0.0, 0.0, 1e-30, 3.0, 1e4]], dtype)
    p = logits.copy()
    sigmoid(p)
    assert p.dtype == dtype
    np.testing.assert_allclose(p, [[0, 0.0474258732, 0.5, 0.5, 0.5, 0.5, 0.9525741268, 1]], rtol=1e-6)
    assert ((p > 0.5) == (logits > 0)).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", [1, 3])
def test_against_torch(labels, weighted):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    z, t = 3 * rng.standard_normal((8, labels)), rng.random((8, labels)) < 0.4
    w = rng.integers(0, 3, 8).astype(float) if weighted else np.ones(8)
    leaf = torch.tensor(z, requires_grad=True)
    of_all = torch.nn.BCEWithLogitsLoss(reduction="none")(leaf, torch.tensor(t, dtype=torch.float64))
    expected = (of_all.mean(1) * torch.tensor(w)).sum() / w.sum()
    if not weighted:
        assert expected.item() == torch.nn.BCEWithLogitsLoss()(leaf, torch.tensor(t, dtype=torch.float64)).item()
    expected.backward()
    loss, _, gradient = run(z, t, 1 / w.sum(), w if weighted else None)
    assert loss / w.sum() == pytest.approx(expected.item(), rel=1e-14)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-12, atol=1e-18)
