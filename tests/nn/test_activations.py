"""Each activation on its own: values, derivatives, extremes."""

import math

import numpy as np
import pytest

from dpnet.compute.loops import reference
from dpnet.nn.activations import ACTIVATIONS

ORACLE = {
    "relu": lambda z: z if z > 0 else 0.0,
    "tanh": math.tanh,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "leaky_relu": lambda z: z if z > 0 else z / 100,
    "identity": lambda z: z,
}
each = pytest.mark.parametrize("name", sorted(ACTIVATIONS))
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(name, z, dtype=np.float64):
    """f(z), and f'(z) as what backward makes of ones."""
    a = np.array([z], dtype=dtype)
    da = np.ones_like(a)
    activation = ACTIVATIONS[name](3, a.shape[1], dtype, reference)
    dbias = np.full(a.shape[1], np.nan, dtype)
    activation.forward(a, np.zeros_like(dbias))()
    activation.backward(a, da, dbias)()
    np.testing.assert_array_equal(dbias, da[0])
    return a[0], da[0]


@each
def test_value_and_derivative(name):
    z = np.array([-3.0, -1.5, -0.2, 0.1, 0.9, 4.0])
    h = 1e-6
    a, derivative = run(name, z)
    f = ORACLE[name]
    np.testing.assert_allclose(a, [f(v) for v in z], rtol=1e-14)
    np.testing.assert_allclose(derivative, [(f(v + h) - f(v - h)) / (2 * h) for v in z], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "value", "slope"),
    [("relu", 0, 0), ("leaky_relu", 0, 0.01), ("tanh", 0, 1), ("sigmoid", 0.5, 0.25), ("identity", 0, 1)],
)
@pytest.mark.parametrize("zero", [0.0, -0.0])
@both_dtypes
def test_at_exactly_zero(name, value, slope, zero, dtype):
    a, derivative = run(name, [zero], dtype)
    assert a[0] == value
    assert derivative[0] == dtype(slope)


@each
@both_dtypes
def test_huge_inputs_stay_finite_without_a_warning(name, dtype):
    a, derivative = run(name, [-1e4, 1e4], dtype)
    assert np.isfinite(a).all()
    assert np.isfinite(derivative).all()
    if name in ("tanh", "sigmoid"):
        np.testing.assert_allclose(a, [-1 if name == "tanh" else 0, 1], atol=1e-30)
        np.testing.assert_allclose(derivative, [0, 0], atol=1e-30)


@both_dtypes
def test_sigmoid_keeps_its_precision_far_below_zero(dtype):
    a, derivative = run("sigmoid", [-30.0, -80.0], dtype)
    np.testing.assert_allclose(a, [1 / (1 + math.exp(30)), math.exp(-80)], rtol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(derivative, a, rtol=1e-6)


@each
@both_dtypes
def test_nan_stays_nan(name, dtype):
    a, _ = run(name, [1.0, np.nan], dtype)
    assert np.isnan(a).tolist() == [False, True]


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
@both_dtypes
def test_smallest_subnormal_is_on_its_side_of_the_kink(name, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    a, derivative = run(name, [-tiny, tiny], dtype)
    assert a[1] == tiny
    assert derivative.tolist() == [dtype(0.0 if name == "relu" else 0.01), 1]


@each
def test_works_on_fewer_rows_and_on_none(name):
    activation = ACTIVATIONS[name](5, 2, np.float64, reference)
    for rows in (0, 1, 5):
        a, da = np.full((rows, 2), 0.5), np.full((rows, 2), 3.0)
        activation.forward(a, np.zeros(2))()
        activation.backward(a, da, dbias := np.full(2, np.nan))()
        np.testing.assert_allclose(dbias, da.sum(axis=0), rtol=1e-15)
        expected_a, expected_slope = run(name, [0.5, 0.5])
        assert a.tobytes() == np.tile(expected_a, (rows, 1)).tobytes()
        np.testing.assert_allclose(da, np.tile(3 * expected_slope, (rows, 1)), rtol=1e-15)


@both_dtypes
def test_what_relu_does_not_pass_on_is_0_and_never_minus_0(dtype):
    da = np.array([[-1.0, 2.0, -0.0, -3.0]], dtype)
    reference.relu_backward(np.array([[0.0, 0.0, 1.0, 1.0]], dtype), da, np.zeros(4, dtype))
    assert da.tobytes() == np.array([[0.0, 0.0, 0.0, -3.0]], dtype).tobytes()
