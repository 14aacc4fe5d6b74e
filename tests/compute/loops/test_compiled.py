"""The compiled loops have the bits of their specification in numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.loops import reference

loops = pytest.importorskip("dpnet.compute.loops.compiled", reason="numba is not installed; pip install 'dpnet[fast]'")

DTYPES = st.sampled_from([np.float32, np.float64])
SHAPES = st.tuples(st.integers(0, 40), st.sampled_from([1, 2, 3, 7, 8, 10, 16, 33, 130]))
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3e38)
FAST = settings(max_examples=150, deadline=None)


def numbers(draw_from, shape, dtype, *, special=False):
    """Random numbers on cache lines; with `special` some are zeros, infinities and the like."""
    array = aligned_zeros(shape, dtype)
    array[...] = draw_from.standard_normal(shape) * 10.0 ** draw_from.integers(-3, 3, shape)
    if special and array.size:
        flat = array.reshape(-1)
        flat[draw_from.integers(0, array.size, 1 + array.size // 10)] = draw_from.choice(SPECIAL)
    return array


def same(seen, expected):
    """All bits are equal; any NaN is as good as another."""
    for one, other in zip(seen, expected, strict=True):
        assert one.dtype == other.dtype
        nan = np.isnan(one)
        assert (nan == np.isnan(other)).all()
        assert np.where(nan, 0, one).tobytes() == np.where(nan, 0, other).tobytes()


def compare(name, arrays, *scalars, compared):
    """Run both on copies of the arguments; compare what they return and some of the arrays."""
    results = []
    for module in (loops, reference):
        copies = [array.copy() for array in arrays]
        with np.errstate(all="ignore"):
            returned = getattr(module, name)(*copies, *scalars)
        results.append((returned, [copies[index] for index in compared]))
    (loops_returned, loops_arrays), (reference_returned, reference_arrays) = results
    assert loops_returned == reference_returned
    same(loops_arrays, reference_arrays)


@FAST
@given(st.integers(0, 2**32), SHAPES, DTYPES, st.booleans())
@pytest.mark.parametrize("name", ["add_bias", "add_bias_relu", "column_sums"])
def test_bias_and_column_sums(name, seed, shape, dtype, special):
    draw = np.random.default_rng(seed)
    matrix, vector = numbers(draw, shape, dtype, special=special), numbers(draw, shape[1], dtype, special=special)
    compare(name, [matrix, vector], compared=[0, 1])


@FAST
@given(st.integers(0, 2**32), SHAPES, DTYPES, st.booleans())
def test_relu_backward(seed, shape, dtype, special):
    draw = np.random.default_rng(seed)
    a, da = numbers(draw, shape, dtype), numbers(draw, shape, dtype, special=special)
    np.maximum(a, 0, out=a)
    compare("relu_backward", [a, da, numbers(draw, shape[1], dtype)], compared=[0, 1, 2])


RAW = ["u1", "i1", "u2", "i8", "f4", "f8", "?"]


@FAST
@given(st.integers(0, 2**32), SHAPES, DTYPES, DTYPES, st.sampled_from(RAW), st.booleans())
def test_gather(seed, shape, work, dtype, raw_dtype, has_labels):
    draw = np.random.default_rng(seed)
    raw = draw.integers(0, 100, (50, shape[1])).astype(raw_dtype)
    if raw.dtype.kind == "f":
        raw += draw.standard_normal(raw.shape).astype(raw_dtype)
    ids = draw.integers(0, 50, shape[0])
    offset, factor = numbers(draw, shape[1], work), numbers(draw, shape[1], work)
    all_labels = draw.integers(0, 10, 50 if has_labels else 0)
    x, labels = numbers(draw, shape, dtype), draw.integers(0, 10, shape[0])
    compare("gather", [raw, all_labels, ids, offset, factor, x, labels], compared=[5, 6])


@FAST
@given(st.integers(0, 2**32), SHAPES, DTYPES, st.sampled_from(["plain", "equal", "special", "wrong label"]))
def test_softmax(seed, shape, dtype, kind):
    draw = np.random.default_rng(seed)
    rows, classes = shape
    logits = numbers(draw, shape, dtype, special=kind == "special")
    if kind == "equal":
        logits[...] = draw.integers(0, 3, shape)
    labels = draw.integers(0, classes, rows)
    if kind == "wrong label" and rows:
        labels[draw.integers(rows)] = draw.choice([-1, classes])
    compare("softmax_shift", [logits, labels, np.zeros(rows, dtype)], compared=[0, 2])
    if kind != "wrong label":
        p = np.abs(numbers(draw, shape, dtype))
        compare("softmax_gradient", [p, labels, np.zeros(rows)], 1 / 37, compared=[0, 2])


@FAST
@given(st.integers(0, 2**32), SHAPES, DTYPES, st.booleans())
def test_softmax_loss(seed, shape, dtype, special):
    draw = np.random.default_rng(seed)
    log_total, at_label = numbers(draw, shape[0], np.float64, special=special), numbers(draw, shape[0], dtype)
    losses = []
    for module in (loops, reference):
        with np.errstate(all="ignore"):
            losses.append(np.array([module.softmax_loss(log_total.copy(), at_label)]))
    same(losses[:1], losses[1:])


@FAST
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 300), DTYPES)
def test_sum_rows(seed, rows, length, dtype):
    draw = np.random.default_rng(seed)
    joins, depth, deepest = [], 0, 1
    for _ in range(rows):
        count = int(draw.integers(0, depth + 1))
        depth += 1 - count
        deepest = max(deepest, depth)
        joins.append(count)
    vectors, work = numbers(draw, (rows + 1, length + 20), dtype), numbers(draw, (deepest, 64), dtype)
    compare("sum_rows", [vectors, np.array(joins)], 7, work, numbers(draw, (depth, length), dtype), compared=[])
    outs = []
    for module in (loops, reference):
        outs.append(np.zeros((depth, length), dtype))
        module.sum_rows(vectors, np.array(joins), 7, work, outs[-1])
    same(outs[:1], outs[1:])


@FAST
@given(st.integers(0, 2**32), st.integers(0, 100), DTYPES, st.sampled_from([0.0, 0.3, 1.0]))
def test_packing(seed, length, dtype, share):
    draw = np.random.default_rng(seed)
    values = numbers(draw, length, dtype, special=True)
    values[draw.random(length) >= share] = 0
    bits = values.view(np.uint32 if dtype is np.float32 else np.uint64)
    results = []
    for module in (loops, reference):
        present, packed = np.zeros(-(-length // 8), np.uint8), np.zeros_like(bits)
        count = module.pack(bits, present, packed)
        out = np.full_like(bits, 7)
        module.unpack(present, packed[:count], out)
        assert out.tobytes() == bits.tobytes()
        results.append((count, present.tobytes(), packed[:count].tobytes()))
    assert results[0] == results[1]
    assert results[0][0] == np.count_nonzero(bits)


@FAST
@given(st.integers(0, 2**32), st.integers(0, 300))
def test_bfloat16(seed, length):
    draw = np.random.default_rng(seed)
    any_bits = draw.integers(0, 2**32, length, dtype=np.uint32).view(np.float32)
    compare("from_bfloat16", [draw.integers(0, 2**16, length, dtype=np.uint16), any_bits], compared=[1])
    seen, expected = (np.zeros(length, np.uint16) for _ in range(2))
    loops.to_bfloat16(any_bits, seen)
    reference.to_bfloat16(any_bits, expected)
    assert seen.tobytes() == expected.tobytes()
