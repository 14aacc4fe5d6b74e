from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dpnet.compute.shares import share
from dpnet.data import statistics
from dpnet.data.split import Split, make_split
from dpnet.data.statistics import NUM_CHUNKS, Moments, chunks, combine, measure
from dpnet.errors import DataError


def split_of(inputs) -> Split:
    return make_split(np.asarray(inputs), None, "x.npy", "y.npy")


def measure_all(inputs) -> Moments:
    split = split_of(inputs)
    return combine([measure(split, chunk) for chunk in chunks(len(split))])


def as_bytes(moments: Moments) -> bytes:
    return (
        moments.origin.tobytes()
        + moments.total.tobytes()
        + moments.m2.tobytes()
        + np.array([moments.count, moments.low, moments.high]).tobytes()
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 100_000))
def test_chunks_cover_every_row_once(num_samples):
    ranges = chunks(num_samples)
    assert len(ranges) == min(num_samples, NUM_CHUNKS)
    assert [start for start, _ in ranges] == [0] + [stop for _, stop in ranges[:-1]]
    assert ranges[-1][1] == num_samples
    assert all(start < stop for start, stop in ranges)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 700),
    features=st.integers(1, 5),
    centre=st.sampled_from([0.0, 1.0, -1e3, 1e6]),
    tile_bytes=st.sampled_from([8, 64, 1 << 20]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equal_to_numpy(rows, features, centre, tile_bytes, seed):
    x = np.random.default_rng(seed).standard_normal((rows, features)) + centre
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "TILE_BYTES", tile_bytes)
        moments = measure_all(x)
    assert (moments.count, moments.low, moments.high) == (rows, x.min(), x.max())
    mean = x.mean(axis=0, dtype=np.longdouble)
    m2 = np.square(x - mean).sum(axis=0, dtype=np.longdouble)
    np.testing.assert_allclose(moments.mean, mean.astype(float), rtol=1e-15, atol=1e-13)
    np.testing.assert_allclose(moments.m2, m2.astype(float), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 256, 300])
def test_same_bits_for_every_number_of_ranks(world_size):
    split = split_of(np.random.default_rng(1).standard_normal((1000, 3)).astype(np.float32))
    parts: list[Moments] = []
    for rank in range(world_size):
        start, stop = share(len(chunks(1000)), rank, world_size)
        parts += [measure(split, chunk) for chunk in chunks(1000)[start:stop]]
    assert as_bytes(combine(parts)) == as_bytes(measure_all(split.inputs))


@settings(deadline=None, max_examples=50)
@given(order=st.permutations(range(20)))
def test_a_chunk_has_the_same_bits_whatever_was_measured_before(order):
    split = split_of(np.random.default_rng(2).standard_normal((20, 2)))
    parts = {chunk: measure(split, chunk) for chunk in (chunks(20)[i] for i in order)}
    assert as_bytes(combine([parts[chunk] for chunk in chunks(20)])) == as_bytes(measure_all(split.inputs))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32])
def test_integers_are_exact_at_the_ends_of_their_type(dtype):
    info = np.iinfo(dtype)
    x = np.array([[info.min, info.max, info.max], [info.max, info.max, info.max - 1]] * 1000, dtype=dtype)
    moments = measure_all(x)
    half = (int(info.max) - int(info.min)) / 2
    assert moments.mean.tolist() == [info.min + half, info.max, info.max - 0.5]
    np.testing.assert_allclose(moments.m2, [2000 * half**2, 0, 500], rtol=1e-14, atol=0)
    assert (moments.low, moments.high) == (info.min, info.max)


def test_integers_of_53_bits_are_exact():
    x = np.array([[2**53 - 2], [2**53 - 4], [2**53 - 6]] * 300, dtype=np.int64)
    moments = measure_all(x)
    assert moments.mean[0] == 2**53 - 4
    assert moments.m2[0] == pytest.approx(8 * 300, rel=1e-14)


@settings(deadline=None, max_examples=50)
@given(st.floats(-1e300, 1e300), st.integers(1, 600))
def test_a_constant_feature_has_its_own_value_as_mean_and_no_spread(value, rows):
    moments = measure_all(np.full((rows, 2), value))
    assert moments.mean.tolist() == [value, value]
    assert moments.m2.tolist() == [0, 0]


def test_a_spread_that_is_tiny_beside_the_mean_survives():
    x = 1e9 + np.random.default_rng(3).standard_normal((5000, 1))
    np.testing.assert_allclose(measure_all(x).m2, np.square(x - 1e9 - (x - 1e9).mean()).sum(), rtol=1e-12)


def test_a_first_row_far_off_does_no_harm():
    x = np.random.default_rng(6).standard_normal((5000, 1))
    x[0] = 1e12
    m2 = np.square(x.astype(np.longdouble) - x.mean(dtype=np.longdouble)).sum().astype(float)
    np.testing.assert_allclose(measure_all(x).m2, m2, rtol=1e-12)


@settings(deadline=None, max_examples=50)
@given(
    x=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.floats(-1, 1, width=32)
    ),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    data=st.data(),
)
def test_numbers_that_are_not_finite_are_found(x, bad, data):
    row, column = (data.draw(st.integers(0, size - 1)) for size in x.shape)
    x = x.copy()
    x[row, column] = bad
    with pytest.raises(DataError, match=rf"x\.npy, row {row}, column {column} \(both from 0\): the value is {bad};"):
        measure_all(x)


def test_without_the_check_they_reach_the_result():
    assert np.isnan(measure(split_of([[1.0], [np.nan]]), (0, 2), check=False).mean[0])


def test_a_sum_that_overflows_is_not_taken_for_a_bad_value():
    moments = measure_all([[1e308], [-1e308], [1e308]])
    assert (moments.low, moments.high) == (-1e308, 1e308)


def test_a_mapped_file_is_measured_in_place(tmp_path):
    x = np.random.default_rng(4).standard_normal((500, 4))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert as_bytes(measure_all(mapped)) == as_bytes(measure_all(x))
