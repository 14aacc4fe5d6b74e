from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.optim.clipping import block_square_sums, clip_factor


def random_vector(size, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


def exact_square_sum(values):
    return float(sum(Fraction(float(v)) ** 2 for v in values))


@settings(deadline=None, max_examples=60)
@given(
    block=st.sampled_from([1, 2, 7, 16, 129, 1000, 4096, 16384, 20000]),
    num_blocks=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 40), max_size=5),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_a_sum_has_the_same_bits_wherever_the_gradient_is_cut(block, num_blocks, cuts, dtype):
    grad = random_vector(block * num_blocks, dtype)
    whole = block_square_sums(grad, block)
    edges = sorted({0, num_blocks, *(min(cut, num_blocks) for cut in cuts)})
    pieces = [block_square_sums(grad[a * block : b * block], block) for a, b in itertools.pairwise(edges)]
    assert np.concatenate([*pieces, np.zeros(0)]).tobytes() == whole.tobytes()


def test_a_sum_has_the_same_bits_at_every_place_in_memory():
    expected = block_square_sums(random_vector(1000), 1000).tobytes()
    for shift in range(20):
        memory = np.empty(1000 + shift, np.float32)
        memory[shift:] = random_vector(1000)
        assert block_square_sums(memory[shift:], 1000).tobytes() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 3, 60, 600])
def test_each_block_gets_the_exact_sum_of_its_own_squares(block, dtype):
    grad = random_vector(1200, dtype) * np.logspace(-5, 5, 1200).astype(dtype)
    sums = block_square_sums(grad, block)
    assert sums.shape == (1200 // block,)
    assert sums.dtype == np.float64
    np.testing.assert_allclose(sums, [exact_square_sum(rows) for rows in grad.reshape(-1, block)], rtol=1e-14)


@pytest.mark.parametrize("value", [3e38, 1e30, 1e-30, 1e-45])
def test_squares_beyond_the_range_of_float32_are_summed(value):
    grad = np.full(5000, value, np.float32)
    np.testing.assert_allclose(block_square_sums(grad, 1000), exact_square_sum(grad[:1000]), rtol=1e-14)


def test_small_squares_are_not_lost_beside_large_ones():
    grad = np.ones(100_000, np.float32)
    grad[0] = 1e6
    assert block_square_sums(grad, 100_000).tolist() == [1e12 + 99_999]


def test_the_gradient_is_left_as_it_is():
    grad = random_vector(100, np.float64)
    before = grad.tobytes()
    block_square_sums(grad, 10)
    assert grad.tobytes() == before


def test_nan_and_infinity_reach_the_sum_of_their_block_only():
    grad = np.ones(6, np.float32)
    grad[2], grad[5] = np.nan, -np.inf
    np.testing.assert_array_equal(block_square_sums(grad, 2), [2, np.nan, np.inf])


@pytest.mark.parametrize("clip_norm", [1e-3, 0.5, 1.0, 30.0])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.03, 1.0, 1e6])
def test_the_factor_is_that_of_pytorch(scale, clip_norm):
    torch = pytest.importorskip("torch")
    grad = random_vector(100, np.float64) * scale
    theirs = torch.zeros(100, dtype=torch.float64, requires_grad=True)
    theirs.grad = torch.from_numpy(grad.copy())
    norm = torch.nn.utils.clip_grad_norm_([theirs], clip_norm).item()
    np.testing.assert_allclose(grad * clip_factor(norm, clip_norm), theirs.grad.numpy(), rtol=1e-14)


def test_a_gradient_within_the_limit_is_not_scaled():
    assert clip_factor(0.0, 1.0) == 1.0
    assert clip_factor(0.999, 1.0) == 1.0
    assert clip_factor(4.0, 1.0) == 1.0 / (4.0 + 1e-6)


def test_nan_is_not_hidden_and_infinity_stops_the_step():
    assert math.isnan(clip_factor(math.nan, 1.0))
    assert clip_factor(math.inf, 1.0) == 0.0
