"""Which rank converts which chunk: each one once, and adjacent ones where a part of the file is unpacked as a whole."""

import numpy as np
import pytest

from dpnet.conversion import turns
from dpnet.conversion.turns import adjacent, rounds
from dpnet.data import in_parts, statistics
from dpnet.data.in_parts import InParts
from dpnet.data.split import make_split

X = np.arange(1600, dtype=np.float32).reshape(800, 2)


class Rows(InParts):
    def __init__(self, chunk, *, forward=False):
        super().__init__(X.dtype, X.shape, chunk)
        self.forward, self.asked = forward, []

    def read(self, start, stop):
        self.asked.append((start, stop))
        return X[start:stop]


def split_of(inputs):
    return make_split(inputs, np.arange(800) % 2, "x", "y")


@pytest.mark.parametrize("count", [1, 2, 7, 256])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("run", [1, 2, 100])
def test_every_chunk_is_converted_once_and_they_are_in_order_by_round_and_rank(count, world_size, run):
    found = []
    for of_round in rounds(count, world_size, run):
        assert {len(numbers) for numbers in of_round} == {world_size}
        found += [numbers[rank] for rank in range(world_size) for numbers in of_round]
    assert [number for number in found if number is not None] == list(range(count))


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_do_not_unpack_what_others_do(monkeypatch, world_size):
    monkeypatch.setattr(in_parts, "PART_BYTES", 1)
    asked = []
    for rank in range(world_size):
        rows = Rows(100)  # What is stored together is larger than a chunk of the conversion.
        split = split_of(rows)
        chunks = statistics.chunks(len(split))
        for of_round in rounds(len(chunks), world_size, adjacent(split, world_size)):
            for numbers in of_round:
                if numbers[rank] is not None:
                    statistics.measure(split, chunks[numbers[rank]])
        asked.append(rows.asked)
    beyond_the_first = [part for parts in asked for part in parts[1:]]
    assert len(beyond_the_first) <= 8 + world_size - 2  # A part in which two ranks meet is unpacked by both.
    assert all(parts[0] == (0, 100) for parts in asked)


def test_what_is_mapped_or_read_forward_is_shared_chunk_by_chunk():
    assert adjacent(split_of(X), 2) == 1
    assert adjacent(split_of(Rows(100, forward=True)), 2) == 1
    assert (adjacent(split_of(Rows(100)), 2), adjacent(split_of(Rows(100)), 3)) == (128, 86)


def test_moments_that_wait_for_their_turn_take_little_memory(monkeypatch):
    monkeypatch.setattr(turns, "KEPT_BYTES", 8 * turns.VECTORS * 2 * 30)
    assert adjacent(split_of(Rows(100)), 3) == 10
    monkeypatch.setattr(turns, "KEPT_BYTES", 1)
    assert adjacent(split_of(Rows(100)), 3) == 1
