"""Rows that are read in parts are those of the whole array."""

import numpy as np
import pytest

from dpnet.data import in_parts, statistics
from dpnet.data.in_parts import InParts, is_wanted, reading_in_parts
from dpnet.data.split import make_split

X = np.arange(300, dtype=np.float32).reshape(100, 3)


class Rows(InParts):
    def __init__(self, chunk, dtype=X.dtype):
        super().__init__(np.dtype(dtype), (100, 1, 3), chunk)
        self.asked = []

    def read(self, start, stop):
        self.asked.append((start, stop))
        return X[start:stop].astype(self.dtype)


@pytest.mark.parametrize("part_bytes", [1, 12, 200, 1 << 20])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_rows_are_those_of_the_whole(monkeypatch, part_bytes, chunk):
    monkeypatch.setattr(in_parts, "PART_BYTES", part_bytes)
    split = make_split(Rows(chunk), np.arange(100) % 2, "x", "y")
    for start, stop in ((0, 1), (0, 100), (30, 44), (90, 100), (5, 5), (95, 200)):
        assert (split.block(start, stop) == X[start:stop]).all()
    some = np.array([0, 3, 4, 50, 51, 52, 98, 99])
    part = split.part(some)
    assert (part.block(0, 8) == X[some]).all()
    assert (part.block(2, 5) == X[some[2:5]]).all()


@pytest.mark.parametrize("dtype", ["?", ">i4", "<f4", ">f8"])
def test_the_type_stays_also_where_rows_of_several_parts_are_put_together(monkeypatch, dtype):
    monkeypatch.setattr(in_parts, "PART_BYTES", 30)
    rows = Rows(2, dtype)
    for some in (rows[0:100], rows[3:4], rows[np.array([1, 40, 99])], rows[np.array([7])], rows[5:5]):
        assert some.dtype == np.dtype(dtype)


def test_adjacent_rows_are_read_once(monkeypatch):
    monkeypatch.setattr(in_parts, "PART_BYTES", 120)  # 10 rows.
    rows = Rows(5)
    assert (rows.shape, rows.size, len(rows), rows.ndim, rows.itemsize) == ((100, 3), 300, 100, 2, 4)
    for start in range(100):
        assert (rows[start : start + 1] == X[start]).all()
    assert rows.asked == [(start, start + 10) for start in range(0, 100, 10)]


def test_the_first_row_is_not_read_again_for_every_chunk(monkeypatch):
    monkeypatch.setattr(in_parts, "PART_BYTES", 120)
    rows = Rows(5)
    split = make_split(rows, np.arange(100) % 2, "x", "y")
    for chunk in statistics.chunks(100):
        found = statistics.measure(split, chunk)
    assert found.origin.tolist() == X[0].tolist()
    assert rows.asked == [(start, start + 10) for start in range(0, 100, 10)]


def test_the_first_row_of_a_split_is_kept_whatever_lies_between(monkeypatch):
    monkeypatch.setattr(in_parts, "PART_BYTES", 60)  # 5 rows.
    monkeypatch.setattr(statistics, "NUM_CHUNKS", 3)
    rows = Rows(5)
    whole = make_split(rows, np.arange(100) % 2, "x", "y")
    for split in (whole.part(np.arange(0, 100, 2)), whole.part(np.arange(1, 100, 2))):
        rows.asked.clear()
        for chunk in statistics.chunks(len(split)):
            found = statistics.measure(split, chunk)
            assert found.origin.tolist() == X[split.rows[0]].tolist()
        assert rows.asked == [(start, start + 5) for start in range(0, 100, 5)]


def test_parts_are_wanted_within_a_block_alone():
    with reading_in_parts():
        assert is_wanted()
    assert not is_wanted()
