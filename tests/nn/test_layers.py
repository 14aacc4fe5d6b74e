"""The linear layer against sums written out in Python."""

import numpy as np

from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.loops import reference
from dpnet.compute.products.numpy import NumpyProducts
from dpnet.nn.activations import Identity
from dpnet.nn.layers import Layer


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def linear(max_rows, num_inputs, num_outputs, dtype, *, has_dx=True):
    a, dx = aligned_zeros((max_rows, num_outputs), dtype), aligned_zeros((max_rows, num_inputs), dtype)
    return Layer(a, dx if has_dx else None, Identity, NumpyProducts(), reference)


def forward(layer, *arrays, **where):
    calls, a = layer.forward(*arrays, **where)
    for call in calls:
        call()
    return a


def backward(layer, *arrays, **where):
    through_activation, through_weights, dx = layer.backward(*arrays, **where)
    assert through_activation()
    if through_weights is not None:
        through_weights()
    return dx


def test_forward_is_the_written_out_sum():
    x, weight, bias = numbers(4, 3), numbers(3, 2), numbers(2)
    y = forward(linear(4, 3, 2, np.float64), x, weight, bias)
    for n in range(4):
        for o in range(2):
            assert np.isclose(y[n, o], sum(x[n, i] * weight[i, o] for i in range(3)) + bias[o], rtol=1e-14)


def test_backward_is_the_written_out_sum_and_overwrites():
    x, weight, dy = numbers(4, 3), numbers(3, 2), numbers(4, 2)
    dweight, dbias = np.full((3, 2), np.nan), np.full(2, np.nan)
    layer = linear(6, 3, 2, np.float64)
    a = forward(layer, x, weight, np.zeros(2))
    dx = backward(layer, a, dy, weight, dbias)
    layer.weight_gradient(x, dy, dweight)()
    for o in range(2):
        assert np.isclose(dbias[o], sum(dy[n, o] for n in range(4)), rtol=1e-13)
        for i in range(3):
            assert np.isclose(dweight[i, o], sum(dy[n, o] * x[n, i] for n in range(4)), rtol=1e-13)
    for n in range(4):
        for i in range(3):
            assert np.isclose(dx[n, i], sum(dy[n, o] * weight[i, o] for o in range(2)), rtol=1e-13)


def test_dx_is_not_made_where_there_is_no_room_for_it():
    layer = linear(4, 3, 2, np.float64, has_dx=False)
    assert layer.backward(numbers(4, 2), numbers(4, 2), numbers(3, 2), np.empty(2))[1:] == (None, None)


def test_rows_go_where_they_are_told_and_nowhere_else():
    a, dx = np.full((6, 2), 7.0), np.full((6, 3), 7.0)
    layer, alone = Layer(a, dx, Identity, NumpyProducts(), reference), linear(2, 3, 2, np.float64)
    x, weight, bias, da = numbers(2, 3), numbers(3, 2), numbers(2), numbers(2, 2)
    expected = forward(alone, x, weight, bias)
    assert forward(layer, x, weight, bias, first=3).tobytes() == a[3:5].tobytes() == expected.tobytes()
    made = backward(layer, a[3:5], da.copy(), weight, np.empty(2), first=3)
    assert made.tobytes() == dx[3:5].tobytes() == backward(alone, expected, da, weight, np.empty(2)).tobytes()
    assert (np.delete(a, [3, 4], axis=0) == 7).all()
    assert (np.delete(dx, [3, 4], axis=0) == 7).all()


def test_output_lies_in_one_aligned_buffer():
    layer = linear(4, 3, 2, np.float32)
    weight, bias = np.ones((3, 2), np.float32), np.ones(2, np.float32)
    _, first = layer.forward(np.ones((4, 3), np.float32), weight, bias)
    _, second = layer.forward(np.ones((2, 3), np.float32), weight, bias)
    assert first.ctypes.data == second.ctypes.data
    assert first.ctypes.data % 64 == 0
    assert second.shape == (2, 2)
