from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.compute.arrays import CACHE_LINE_BYTES
from dpnet.data.dataset import Dataset
from dpnet.data.scaling import Scaling, fit
from dpnet.data.split import make_split
from dpnet.data.statistics import measure
from dpnet.errors import DataError

PLAIN = Scaling(np.zeros(1), np.ones(1))


def split_of(inputs, labels=None):
    return make_split(inputs, labels, "x.npy", "y.npy")


def standardized(inputs):
    return fit("standardize", measure(split_of(inputs), (0, len(inputs))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("raw_dtype", ["?", "u1", "i2", "u2", "i4", "i8", "u8", "f2", "f4", ">f4", "f8", ">i2", "g"])
@settings(deadline=None, max_examples=25)
@given(ids=st.lists(st.integers(0, 49), max_size=12), seed=st.integers(0, 99), wide=st.booleans())
def test_gather_equals_the_formula(raw_dtype, dtype, ids, seed, wide):
    raw = np.random.default_rng(seed).integers(0, 100, (50, 4)).astype(raw_dtype)
    scaling = standardized(raw) if wide else Scaling(np.array([50.5]), np.array([1 / 30]))
    data = Dataset(split_of(raw, np.arange(50)), scaling, max_rows=12, dtype=dtype)
    x, labels = data.gather(np.array(ids, dtype=np.int64))
    expected = (raw[ids].astype(np.float64) - scaling.offset) * scaling.factor
    assert x.dtype == dtype
    np.testing.assert_allclose(x, expected, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-14)
    assert labels.tolist() == ids
    assert (len(data), data.features) == (50, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("raw_dtype", ["u1", "f4", "f8"])
def test_without_scaling_values_are_copied_exactly(raw_dtype, dtype):
    raw = (
        np.array([[0, 1, 255], [3, 0.1, -0.0], [5e-39, 1e38, 7]]).astype(raw_dtype)
        if raw_dtype != "u1"
        else (np.arange(9, dtype=np.uint8).reshape(3, 3) * 31)
    )
    x, _ = Dataset(split_of(raw), PLAIN, max_rows=3, dtype=dtype).gather(np.array([2, 0, 1]))
    assert x.tobytes() == raw[[2, 0, 1]].astype(dtype).tobytes()


def assert_precise(raw, scaling):
    x, _ = Dataset(split_of(raw), scaling, max_rows=len(raw), dtype=np.float32).gather(np.arange(len(raw)))
    np.testing.assert_allclose(x, (raw.astype(float) - scaling.offset) * scaling.factor, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("raw_dtype", ["f4", "f8", "i4"])
def test_a_huge_offset_costs_no_precision(raw_dtype):
    raw = (1e8 + 8 * (np.arange(100).reshape(50, 2) % 7)).astype(raw_dtype)
    scaling = standardized(raw)
    assert np.all(np.abs(scaling.offset - scaling.offset.astype(np.float32)) * scaling.factor > 1e-3)
    assert_precise(raw, scaling)


@pytest.mark.parametrize("raw_dtype", ["f8", "i4"])
def test_raw_values_are_not_rounded_before_the_offset_is_subtracted(raw_dtype):
    raw = (2.0**28 + np.arange(-5, 5)[:, None]).astype(raw_dtype)
    assert_precise(raw, Scaling(np.array([2.0**28]), np.ones(1)))


@pytest.mark.parametrize("values", [[-9e-42, 9e-42], [-3e38, 3e38, 3e38]])
def test_a_spread_at_the_ends_of_float32(values):
    raw = np.array(values, dtype=np.float32)[:, None]
    assert_precise(raw, standardized(raw))


def test_pixels_are_scaled_in_the_type_of_the_network():
    raw = np.arange(250, dtype=np.uint8).reshape(125, 2)
    assert Dataset(split_of(raw), standardized(raw), max_rows=1, dtype=np.float32)._offset.dtype == np.float32


def test_a_mapped_file(tmp_path):
    raw = np.random.default_rng(0).standard_normal((30, 4))
    np.save(tmp_path / "x.npy", raw)
    data = Dataset(split_of(np.load(tmp_path / "x.npy", mmap_mode="r")), PLAIN, max_rows=30, dtype=np.float64)
    ids = np.random.default_rng(1).permutation(30)
    np.testing.assert_array_equal(data.gather(ids)[0], raw[ids], strict=True)


def test_no_labels_are_zeros():
    _, labels = Dataset(split_of(np.ones((3, 2))), PLAIN, max_rows=4, dtype=np.float32).gather(np.array([1, 2]))
    np.testing.assert_array_equal(labels, np.zeros(2, dtype=np.int64), strict=True)


def test_buffers_are_reused_and_aligned():
    data = Dataset(split_of(np.ones((9, 3), dtype=np.uint8), np.arange(9)), PLAIN, max_rows=5, dtype=np.float32)
    x, labels = data.gather(np.array([4, 5]))
    again, again_labels = data.gather(np.array([1, 2, 3]))
    assert x.ctypes.data == again.ctypes.data
    assert labels.ctypes.data == again_labels.ctypes.data
    assert x.ctypes.data % CACHE_LINE_BYTES == 0
    assert again.flags.c_contiguous


@pytest.mark.parametrize("raw_dtype", ["u1", "f4", "f8", ">f4", "i8"])
def test_gather_allocates_nothing_that_grows_with_the_rows(raw_dtype):
    raw = np.ones((4000, 256), dtype=raw_dtype)
    data = Dataset(split_of(raw, np.zeros(4000, dtype=int)), PLAIN, max_rows=4000, dtype=np.float32)
    ids = np.arange(4000)
    data.gather(ids)
    tracemalloc.start()
    try:
        data.gather(ids)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Converting ufuncs work through a fixed number of elements at a time; the rows alone are a million.
    assert peak < 300_000


def test_another_number_of_features_than_in_training():
    scaling = Scaling(np.zeros(4), np.ones(4))
    with pytest.raises(DataError, match=r"x\.npy has 3 features, but the scaling has 4 values of offset; give data"):
        Dataset(split_of(np.ones((2, 3))), scaling, max_rows=1, dtype=np.float32)


def test_sums_begin_at_the_targets_of_the_heaviest_sample():
    targets, weights = np.array([9.0, 1e20, 5.0, 6.0]), np.array([0, 1e-30, 2.0, 2.0])
    split = make_split(np.ones((4, 2)), targets, "x", "y", task="regression", weights=weights)
    scaling = dataclasses.replace(PLAIN, targets=Scaling(np.ones(1), np.full(1, 10.0)))
    data = Dataset(split, scaling, max_rows=4, dtype=np.float32)
    assert data.heaviest_targets.tolist() == [40]
    assert data.gather(np.arange(4))[1].ravel().tolist() == [0, (1e20 - 1) * 10, 40, 50]
