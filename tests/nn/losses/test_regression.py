"""The losses of numbers against their definitions, at their kinks, and against PyTorch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dpnet.nn.losses.regression import AbsoluteError, HuberError, SquaredError

DELTA = 0.7
LOSSES = {
    "squared": (SquaredError, lambda e: e * e, lambda e: 2 * e),
    "absolute": (AbsoluteError, abs, lambda e: (e > 0) - (e < 0)),
    "Huber": (
        HuberError,
        lambda e: e * e / 2 if abs(e) <= DELTA else DELTA * (abs(e) - DELTA / 2),
        lambda e: e if abs(e) <= DELTA else math.copysign(DELTA, e),
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(name, outputs, targets, scale=1.0, weights=None, units=None, dtype=np.float64, delta=DELTA):
    """Loss, absolute error and gradient."""
    outputs, targets = np.array(outputs, dtype, ndmin=2), np.array(targets, np.float64, ndmin=2)
    units = np.ones(outputs.shape[1]) if units is None else np.array(units)
    more = [delta] if name == "Huber" else []
    loss, distance = LOSSES[name][0](len(outputs) + 2, units, *more)(outputs, targets, scale, weights)
    return loss, distance, outputs


numbers = st.floats(-50, 50).map(lambda number: round(number, 3))


@every_loss
@given(
    outputs=arrays(np.float64, (3, 2), elements=numbers),
    targets=arrays(np.float64, (3, 2), elements=numbers),
    weights=st.none() | arrays(np.float64, 3, elements=st.floats(0, 9)),
)
def test_loss_and_gradient_are_those_of_the_definition(name, outputs, targets, weights):
    _, of_error, slope = LOSSES[name]
    loss, distance, gradient = run(name, outputs, targets, 0.25, weights, units=[2.0, 10.0])
    errors, w = (outputs - targets).tolist(), [1.0] * 3 if weights is None else weights.tolist()
    assert loss == pytest.approx(math.fsum(w[n] * of_error(e) / 2 for n in range(3) for e in errors[n]), rel=1e-13)
    of_units = [w[n] * (2 * abs(errors[n][0]) + 10 * abs(errors[n][1])) / 2 for n in range(3)]
    assert distance == pytest.approx(math.fsum(of_units), rel=1e-13)
    expected = [[w[n] * slope(e) / 2 * 0.25 for e in errors[n]] for n in range(3)]
    np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-300)  # Subnormal numbers are rounded more.


@every_loss
def test_a_target_that_is_met_exactly_has_no_loss_and_pulls_nothing(name):
    loss, distance, gradient = run(name, [[1.5, -2.0]], [[1.5, -2.0]])
    assert (loss, distance) == (0, 0)
    assert gradient.tolist() == [[0, 0]]


def test_hubers_error_has_the_same_loss_and_slope_from_both_sides_of_its_bound():
    loss, _, gradient = run("Huber", [[3.0], [np.nextafter(3.0, 4)]], [[0.0], [0.0]], delta=3.0)
    assert loss == pytest.approx(2 * 4.5, rel=1e-15)
    assert gradient.tolist() == [[3.0], [3.0]]


def test_hubers_error_with_a_huge_bound_is_half_of_the_squared_one():
    rng = np.random.default_rng(0)
    outputs, targets = rng.standard_normal((2, 5, 3))
    half, _, gradient = run("Huber", outputs, targets, delta=1e9)
    whole, _, twice = run("squared", outputs, targets)
    assert half == pytest.approx(whole / 2, rel=1e-14)
    np.testing.assert_allclose(gradient, twice / 2, rtol=1e-14)


@every_loss
@both_dtypes
def test_the_gradient_has_the_type_of_the_outputs_and_errors_are_float64(name, dtype):
    # In float32 the target would be rounded to 1, and the error be 0.
    loss, _, gradient = run(name, [[1.0]], [[1 + 1e-12]], dtype=dtype)
    assert loss > 0
    assert gradient.dtype == dtype
    assert gradient[0, 0] < 0


@every_loss
def test_no_rows_count_nothing(name):
    nothing = np.empty((0, 2))
    assert run(name, nothing, nothing)[:2] == (0, 0)
    assert run(name, nothing, nothing, weights=np.empty(0))[:2] == (0, 0)


@every_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_gives_a_loss_that_is_not(name, bad):
    with np.errstate(invalid="ignore"):
        assert not math.isfinite(run(name, [[0.0, bad], [0.0, 0.0]], [[0, 0], [0, 0]])[0])


@every_loss
def test_a_row_of_weight_three_counts_as_three_rows_and_one_of_weight_zero_as_none(name):
    rng = np.random.default_rng(4)
    outputs, targets, weights = rng.standard_normal((9, 2)), rng.standard_normal((9, 2)), rng.integers(0, 4, 9)
    rows = np.repeat(np.arange(9), weights)
    weighted, repeated = (
        run(name, outputs, targets, 0.5, weights.astype(float)),
        run(name, outputs[rows], targets[rows]),
    )
    assert weighted[:2] == pytest.approx(repeated[:2], rel=1e-13)
    _, _, plain = run(name, outputs, targets, 0.5)
    np.testing.assert_allclose(weighted[2], plain * weights[:, None], rtol=1e-14)


@pytest.mark.parametrize("targets", [1, 3])
@every_loss
def test_against_torch(name, targets):
    torch = pytest.importorskip("torch")
    theirs = {
        "squared": torch.nn.MSELoss(),
        "absolute": torch.nn.L1Loss(),
        "Huber": torch.nn.HuberLoss(delta=DELTA),
    }[name]
    rng = np.random.default_rng(1)
    z, t = rng.standard_normal((2, 8, targets))
    z[3] = t[3]
    leaf = torch.tensor(z, requires_grad=True)
    expected = theirs(leaf, torch.tensor(t))
    expected.backward()
    loss, _, gradient = run(name, z, t, scale=1 / 8)
    assert loss / 8 == pytest.approx(expected.item(), rel=1e-14)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-14, atol=1e-18)
