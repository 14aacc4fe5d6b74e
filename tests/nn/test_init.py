"""Initial parameters: their size, and that they are the same everywhere."""

import numpy as np
import pytest

from dpnet.nn.activations import ACTIVATIONS
from dpnet.nn.init import VARIANCES, initialize
from dpnet.nn.layout import Layout
from dpnet.nn.network import MLP


def initial(sizes, activation, seed=0, dtype=np.float64):
    layout = Layout(sizes)
    params = np.full(layout.size, 9, dtype=dtype)
    initialize(layout, activation, seed, params)
    return layout, params


def test_every_activation_has_a_variance():
    assert sorted(VARIANCES) == sorted(ACTIVATIONS)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_weights_are_uniform_with_the_variance_of_the_paper(activation):
    layout, params = initial([300, 200, 100], activation)
    for weight, bias in layout.views(params):
        fan_in, fan_out = weight.shape
        variance = 2 / fan_in if "relu" in activation else 2 / (fan_in + fan_out)
        assert weight.var() == pytest.approx(variance, rel=0.02)
        assert abs(weight.mean()) < 4 * np.sqrt(variance / weight.size)
        limit = np.sqrt(3 * variance)
        assert 0.99 * limit < -weight.min() <= limit
        assert 0.99 * limit < weight.max() < limit
        assert not bias.any()


def test_padding_is_zero():
    layout, params = initial([5, 3, 2], "relu")
    assert np.count_nonzero(params) == 5 * 3 + 3 * 2
    assert params.sum() == pytest.approx(sum(w.sum() for w, _ in layout.views(params)))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_float32_is_float64_rounded(activation):
    _, wide = initial([30, 20, 10], activation)
    _, narrow = initial([30, 20, 10], activation, dtype=np.float32)
    assert wide.astype(np.float32).tobytes() == narrow.tobytes()


def test_bits_never_change():
    # Written down once: another numpy, another machine or another version of dpnet must draw the same.
    layout, params = initial([3, 2], "relu", seed=1)
    expected = ["0x1.8a26dfcd08d88p-1", "0x1.3da5d36b6235cp+0", "-0x1.8c6587934a850p-1"]
    assert [value.hex() for value in layout.named(params)["0.weight"][0].tolist()] == expected


def test_a_layer_depends_on_seed_and_place_only():
    first, params = initial([8, 8, 8], "relu", seed=5)
    (one, _), (two, _) = first.views(params)
    assert not np.array_equal(one, two)
    deeper, deeper_params = initial([8, 8, 8, 3], "relu", seed=5)
    assert deeper.views(deeper_params)[1][0].tobytes() == two.tobytes()
    _, other = initial([8, 8, 8], "relu", seed=6)
    assert not np.array_equal(params, other)


def test_relu_keeps_the_size_of_activations_through_many_layers():
    layout, params = initial([256] * 11, "relu", dtype=np.float32)
    x = np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32)
    z = MLP(layout, "relu", max_rows=64).forward(x, layout.views(params))
    # With half or twice the variance this would be 2^-9 or 2^9 after the nine layers above the first.
    assert 0.4 < z.var() / 2 < 2.5
