"""Means of what is known have the bits of numpy's, whatever is missing, and however the rows are read."""

import numpy as np
import pytest

from dpnet.data.in_parts import InParts
from dpnet.data.missing import means
from dpnet.data.missing.means import count_missing, is_whole, known_means
from dpnet.data.split import make_split
from dpnet.errors import DataError


def values(rows, features, *, share=0.1, dtype=np.float64):
    """Numbers of many sizes, so that each order of additions rounds otherwise; the first row is known."""
    generator = np.random.default_rng(rows)
    x = generator.standard_normal((rows, features)) * 10.0 ** generator.integers(-5, 5, (rows, features))
    x[1:][generator.random((rows - 1, features)) < share] = np.nan
    x[:, ::3] = generator.standard_normal((rows, len(range(0, features, 3))))  # Features without gaps.
    return x.astype(dtype)


def expected(x):
    columns = [column[~np.isnan(column)].astype(np.float64) for column in x.T]
    return np.array([np.mean(column) for column in columns])


class Rows(InParts):
    """An array that is read in parts."""

    def __init__(self, array):
        super().__init__(array.dtype, array.shape, 7)
        self._array = array

    def read(self, start, stop):
        return self._array[start:stop]


def split_of(x):
    return make_split(x, None, "x.npz", "")


@pytest.mark.parametrize(
    ("rows", "features"), [(1, 1), (7, 3), (128, 1), (129, 2), (1000, 5), (8193, 3), (200_001, 4), (300, 2000)]
)
@pytest.mark.parametrize("piece_bytes", [1, 100_000, 1 << 23])
def test_means_have_the_bits_of_numpy(monkeypatch, rows, features, piece_bytes):
    monkeypatch.setattr(means, "PIECE_BYTES", piece_bytes)
    x = values(rows, features)
    known = known_means(split_of(x))
    assert known.means.tobytes() == expected(x).tobytes()
    assert known.missing.tolist() == count_missing(split_of(x)).tolist() == np.isnan(x).sum(axis=0).tolist()


def test_another_order_of_additions_would_round_otherwise():
    x = values(1000, 5, share=0)
    assert (x.sum(axis=0) / len(x)).tobytes() != known_means(split_of(x)).means.tobytes()


@pytest.mark.parametrize("dtype", [">f8", np.float32, np.float16])
def test_means_are_in_float64_of_any_type(dtype):
    x = np.clip(values(500, 4), -1000, 1000).astype(dtype)
    assert known_means(split_of(x)).means.tobytes() == expected(x).tobytes()


def test_integers_and_booleans_have_nothing_missing():
    for dtype in (np.uint8, np.int64, np.bool_):
        x = (np.arange(600).reshape(200, 3) % 2).astype(dtype)
        known = known_means(split_of(x))
        assert (known.means.tolist(), known.missing.tolist()) == ([0.5, 0.5, 0.5], [0, 0, 0])
        assert is_whole(split_of(x))


def test_rows_that_are_held_out_do_not_enter_also_where_they_are_read_in_parts():
    x, rows = values(1000, 5), np.flatnonzero(np.random.default_rng(5).random(1000) < 0.7)
    for inputs in (x, Rows(x)):
        known = known_means(split_of(inputs).part(rows))
        assert known.means.tobytes() == expected(x[rows]).tobytes()
        assert known.missing.tolist() == np.isnan(x[rows]).sum(axis=0).tolist()


def test_a_feature_of_which_nothing_is_known_has_no_mean():
    x = np.array([[1, np.nan], [3, np.nan]])
    known = known_means(split_of(x))
    assert known.missing.tolist() == [0, 2]
    assert known.means[0] == 2
    assert np.isnan(known.means[1])


def test_whether_anything_is_missing_is_told_by_the_first_that_is():
    x = values(1000, 2, share=0)
    assert is_whole(split_of(x))
    x[999, 1] = np.nan
    assert not is_whole(split_of(x))
    x[999, 1] = np.inf
    assert is_whole(split_of(x))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_by_its_place_in_the_file(value):
    x = values(1000, 5)
    x[997, 4] = value
    message = rf"^x\.npz, row 997, column 4 \(both from 0\): the value is {value}; expected a finite number; repair"
    part = split_of(x).part(np.arange(500, 1000))
    for look in (known_means, lambda split: count_missing(split, refuse=True)):
        with pytest.raises(DataError, match=message):
            look(part)
    assert count_missing(part).tolist() == np.isnan(x[500:]).sum(axis=0).tolist()
