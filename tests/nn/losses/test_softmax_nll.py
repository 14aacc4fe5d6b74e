"""Softmax and negative log-likelihood against their definitions, and at their extremes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dpnet.errors import DataError
from dpnet.nn.losses.softmax_nll import SoftmaxNLL, softmax

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(logits, labels, scale=1.0, dtype=np.float64, smoothing=0.0, weights=None):
    """Loss, hits and gradient."""
    logits = np.array(logits, dtype=dtype, ndmin=2)
    loss = SoftmaxNLL(len(logits) + 2, logits.shape[1], dtype, smoothing=smoothing)
    nll, correct = loss(logits, np.array(labels, dtype=np.int64), scale, weights)
    return nll, correct, logits


def oracle(logits, labels, scale, smoothing=0.0):
    """The same by (1) and (2) of the module, or (3) and (4), one number at a time."""
    nll, gradient = 0.0, []
    for row, label in zip(logits, labels, strict=True):
        top = max(row)
        terms = [math.exp(z - top) for z in row]
        targets = [(1 - smoothing) * (i == label) + smoothing / len(row) for i in range(len(row))]
        nll += math.log(math.fsum(terms)) - math.fsum(t * (z - top) for t, z in zip(targets, row, strict=True))
        gradient.append([(e / math.fsum(terms) - t) * scale for e, t in zip(terms, targets, strict=True)])
    return nll, gradient


@given(
    arrays(np.float64, (3, 4), elements=st.floats(-50, 50)),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
    st.sampled_from([0.0, 0.1, 0.9]),
)
def test_loss_and_gradient_are_those_of_the_definition(logits, labels, smoothing):
    nll, _, gradient = run(logits, labels, scale=0.25, smoothing=smoothing)
    expected_nll, expected_gradient = oracle(logits.tolist(), labels, 0.25, smoothing)
    np.testing.assert_allclose(nll, expected_nll, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-11, atol=1e-15)


@both_dtypes
def test_known_number(dtype):
    nll, correct, gradient = run([[0.0, 0.0]], [1], dtype=dtype)
    assert nll == math.log(2)  # to the last bit of float64: the logarithm is taken there
    assert correct == 0  # of equal logits the first is the guess
    assert gradient.tolist() == [[0.5, -0.5]]


@both_dtypes
def test_huge_logits_give_a_finite_loss_without_a_warning(dtype):
    nll, correct, gradient = run([[1e4, -1e4], [1e4, -1e4], [1e4, 1e4]], [0, 1, 0], dtype=dtype)
    assert nll == pytest.approx(2e4 + math.log(2))
    assert correct == 2
    assert gradient.tolist() == [[0, 0], [1, -1], [-0.5, 0.5]]


@both_dtypes
def test_only_differences_of_logits_count(dtype):
    logits = np.array([[1.0, 2.0, -3.0], [0.5, 0.0, 0.25]])
    plain, shifted = run(logits, [0, 2], dtype=dtype), run(logits + 4096, [0, 2], dtype=dtype)
    assert plain[:2] == shifted[:2]
    assert plain[2].tobytes() == shifted[2].tobytes()


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@both_dtypes
def test_one_class_has_no_loss_and_no_gradient(dtype, smoothing):
    nll, correct, gradient = run([[3.0], [-1e4]], [0, 0], dtype=dtype, smoothing=smoothing)
    assert (nll, correct) == (0, 2)
    assert not gradient.any()


def test_no_rows_count_nothing():
    assert SoftmaxNLL(4, 3, np.float32)(np.empty((0, 3), np.float32), np.empty(0, np.int64), 0.1) == (0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@both_dtypes
def test_a_bad_logit_makes_the_loss_nan(bad, dtype):
    with np.errstate(invalid="ignore"):
        nll, _, gradient = run([[0.0, bad], [0.0, 0.0]], [0, 0], dtype=dtype)
    assert math.isnan(nll)
    assert np.isnan(gradient).any()


@both_dtypes
def test_subnormal_logits_are_as_good_as_zero(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    nll, _, gradient = run([[tiny, -tiny]], [0], dtype=dtype)
    assert nll == pytest.approx(math.log(2), rel=float(np.finfo(dtype).eps))
    assert gradient.tolist() == [[-0.5, 0.5]]


def test_float32_rows_are_summed_in_float64():
    # In float32 the sum would stop growing: a term of 1e-3 is less than half a unit in the last place of 2e4.
    logits = np.zeros((1001, 2))
    logits[:, 0] = math.log(math.expm1(1e-3))
    logits[0] = [0, 2e4]
    nll, _, _ = run(logits, [0] + [1] * 1000, dtype=np.float32)
    assert nll == pytest.approx(2e4 + 1000 * 1e-3, abs=1e-3)


@pytest.mark.parametrize("wrong", [-1, 3, 2**40])
def test_a_label_out_of_range_is_refused(wrong):
    with pytest.raises(DataError, match=rf"a label is {wrong}; .* 0\.\.2\."):
        run(np.zeros((2, 3)), [0, wrong])


@both_dtypes
def test_softmax_gives_probabilities(dtype):
    p = np.array([[1e4, -1e4, 1e4], [0, math.log(2), math.log(5)]], dtype=dtype)
    softmax(p)
    np.testing.assert_allclose(p, [[0.5, 0, 0.5], [1 / 8, 2 / 8, 5 / 8]], rtol=4 * np.finfo(dtype).eps)


def test_label_smoothing_changes_no_guess():
    logits = np.random.default_rng(3).standard_normal((9, 4))
    labels = logits.argmax(axis=1)
    labels[:2] = (labels[:2] + 1) % 4
    assert run(logits, labels, smoothing=0.9)[1] == 7


def test_a_smoothed_loss_is_least_where_the_probabilities_are_the_targets():
    targets = np.array([[0.1 / 4, 0.1 / 4, 0.9 + 0.1 / 4, 0.1 / 4]])
    nll, _, gradient = run(np.log(targets), [2], smoothing=0.1)
    assert nll == pytest.approx(-np.sum(targets * np.log(targets)))
    np.testing.assert_allclose(gradient, 0, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@both_dtypes
def test_a_row_of_weight_three_counts_as_three_rows_and_one_of_weight_zero_as_none(dtype, smoothing):
    rng = np.random.default_rng(4)
    logits, labels, weights = rng.standard_normal((9, 4)), rng.integers(0, 4, 9), rng.integers(0, 4, 9)
    nll, hits, gradient = run(logits, labels, 0.5, dtype, smoothing, weights.astype(np.float64))
    rows = np.repeat(np.arange(9), weights)
    expected_nll, expected_hits, _ = run(logits[rows], labels[rows], 0.5, dtype, smoothing)
    _, _, plain = run(logits, labels, 0.5, dtype, smoothing)
    assert nll == pytest.approx(expected_nll, rel=4 * float(np.finfo(dtype).eps))
    assert hits == expected_hits
    np.testing.assert_allclose(gradient, plain * weights[:, None], rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("size", [1e-44, 1e30])
def test_only_the_ratio_of_weights_counts_in_the_gradient(size):
    logits, labels, weights = np.array([[0.5, -1.0], [0.0, 2.0]]), [0, 0], np.array([1.0, 3.0])
    _, _, expected = run(logits, labels, 1 / 4, np.float32, weights=weights)
    _, _, gradient = run(logits, labels, 1 / (4 * size), np.float32, weights=weights * size)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_no_rows_weigh_nothing():
    nothing = np.empty((0, 3), np.float32), np.empty(0, np.int64), 0.1, np.empty(0)
    assert SoftmaxNLL(4, 3, np.float32)(*nothing) == (0, 0)


@pytest.mark.parametrize(
    ("smoothing", "of_classes"), [(0.0, None), (0.1, None), (0.75, None), (0.0, [1.0, 2.5, 0.0, 0.5, 3.0])]
)
def test_against_torch(smoothing, of_classes):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((8, 5)) * 4, rng.integers(0, 5, 8)
    leaf = torch.tensor(logits, requires_grad=True)
    how = {"label_smoothing": smoothing, "weight": of_classes and torch.tensor(of_classes, dtype=torch.float64)}
    expected = torch.nn.functional.cross_entropy(leaf, torch.tensor(labels), **how)
    expected.backward()
    weights = np.ones(8) if of_classes is None else np.array(of_classes)[labels]
    given = None if of_classes is None else weights
    nll, correct, gradient = run(logits, labels, scale=1 / weights.sum(), smoothing=smoothing, weights=given)
    assert nll / weights.sum() == pytest.approx(expected.item(), rel=1e-14)
    hits = (leaf.argmax(dim=1) == torch.tensor(labels)).numpy()
    assert correct == weights[hits].sum()
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-11, atol=1e-16)
