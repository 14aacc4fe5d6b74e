"""Initial parameters: their size, and that they are the same everywhere."""

import math

import numpy as np
import pytest

from dpnet.nn.activations import ACTIVATIONS
from dpnet.nn.init import IS_RELU, initialize
from dpnet.nn.layout import Layout
from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.nn.network import MLP


def initial(sizes, activation, seed=0, dtype=np.float64):
    layout = Layout(sizes)
    params = np.full(layout.size, 9, dtype=dtype)
    initialize(layout, activation, seed, params)
    return layout, params


def check_uniform(numbers, variance):
    assert numbers.var() == pytest.approx(variance, rel=0.15 if numbers.size < 1000 else 0.02)
    assert abs(numbers.mean()) < 4 * np.sqrt(variance / numbers.size)
    limit = np.sqrt(3 * variance)
    assert 0.95 * limit < -numbers.min() <= limit
    assert 0.95 * limit < numbers.max() < limit


def test_it_is_known_of_every_activation_whether_it_is_like_relu():
    assert sorted(IS_RELU) == sorted(ACTIVATIONS)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_weights_and_hidden_biases_are_uniform_with_the_documented_variance(activation):
    layout, params = initial([300, 400, 500, 100], activation)
    (w1, b1), (w2, b2), (w3, b3) = layout.views(params)
    inner = 1 / (3 * 400) if "relu" in activation else 2 / 900
    for tensor, variance in ((w1, 0.1 / 300), (w2, inner), (w3, 2 / 600), (b1, 0.1 / 300), (b2, inner)):
        check_uniform(tensor, variance)
    assert not b3.any()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_softmax_regression_starts_from_zero(activation):
    _, params = initial([20, 7], activation)
    assert not params.any()


@pytest.mark.parametrize("hidden", [(), (16,), (256, 128), (64,) * 30])
def test_the_first_loss_is_nearly_that_of_knowing_nothing(hidden):
    layout, params = initial([64, *hidden, 10], "relu", dtype=np.float32)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((256, 64)).astype(np.float32), rng.integers(10, size=256)
    logits = MLP(layout, "relu", max_rows=256).forward(x, layout.views(params))
    loss, _ = SoftmaxNLL(256, 10, np.float32)(logits, labels, 1 / 256)
    assert loss / 256 == pytest.approx(math.log(10), rel=0.03)


def test_padding_is_zero():
    layout, params = initial([5, 3, 2], "relu")
    assert np.count_nonzero(params) == (5 + 1) * 3 + 3 * 2
    assert params.sum() == pytest.approx(sum(w.sum() + b.sum() for w, b in layout.views(params)))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_float32_is_float64_rounded(activation):
    _, wide = initial([30, 20, 10], activation)
    _, narrow = initial([30, 20, 10], activation, dtype=np.float32)
    assert wide.astype(np.float32).tobytes() == narrow.tobytes()


def test_bits_never_change():
    # Written down once: another numpy or another machine must draw the same.
    layout, params = initial([3, 2, 2], "relu", seed=1)
    named = layout.named(params)
    assert [value.hex() for value in named["0.weight"][0].tolist()] == [
        "0x1.608a463c18a1ep-3",
        "0x1.1c1cdfe325ff8p-2",
        "-0x1.628c4301845bfp-3",
    ]
    assert [value.hex() for value in named["0.bias"].tolist()] == ["0x1.ddb3c05f938ffp-3", "0x1.8f58ed8d3d1b7p-5"]


def test_a_layer_depends_on_seed_place_and_widths_only():
    first, params = initial([8, 8, 8, 8], "relu", seed=5)
    (_, _), (two, _), (three, _) = first.views(params)
    assert not np.array_equal(two, three)
    deeper, deeper_params = initial([9, 8, 8, 8, 3], "relu", seed=5)
    assert deeper.views(deeper_params)[1][0].tobytes() == two.tobytes()
    _, other = initial([8, 8, 8, 8], "relu", seed=6)
    assert not np.array_equal(params, other)


@pytest.mark.parametrize(("layers", "shrink"), [(3, 1 / 6), (5, 1 / 6**3), (10, 2**-8), (32, 2**-8)])
def test_activations_of_relu_shrink_a_little_and_do_not_vanish_with_depth(layers, shrink):
    layout, params = initial([512] * (layers + 1), "relu", dtype=np.float32)
    for _, bias in layout.views(params):
        bias[:] = 0  # Biases add variance of their own, the same for all samples.
    x = np.random.default_rng(0).standard_normal((64, 512)).astype(np.float32)
    z = MLP(layout, "relu", max_rows=64).forward(x, layout.views(params))
    # The output layer passes half of what it is given.
    assert 0.3 < z.var() / (0.1 * shrink / 2) < 4
