"""Packets: what comes out is what was put in, to the bit, and in few bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.compute.loops import reference
from dpnet.parallel.packets import Packet, room

LOOPS = [reference]
try:
    from dpnet.compute.loops import compiled

    LOOPS.append(compiled)
except ImportError:
    pass

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38]


with_all_loops = pytest.mark.parametrize("loops", LOOPS, ids=lambda module: module.__name__.split(".")[-1])


def numbers(draw, length, dtype, share):
    """Numbers of which a share is not 0."""
    array = draw.standard_normal(length).astype(dtype)
    array[draw.random(length) >= share] = 0
    some = draw.random(length) < 0.1
    array[some] = draw.choice(SPECIAL, some.sum())
    return array


@with_all_loops
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 70), st.sampled_from([0.0, 0.3, 1.0]), st.booleans())))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_bits_of_all_arrays_come_out_in_order(loops, dtype, seed, parts):
    draw = np.random.default_rng(seed)
    arrays = [(numbers(draw, length, dtype, share), sparse) for length, share, sparse in parts]
    itemsize = np.dtype(dtype).itemsize
    packets = [Packet(sum(room(len(array), itemsize) for array, _ in arrays), dtype, loops) for _ in range(2)]
    for _ in range(2):  # A packet is used again in every step.
        for packet in packets:
            packet.rewind()
        for array, sparse in arrays:
            packets[0].put(array, sparse=sparse)
        sent = packets[0].content
        packets[1].whole[: len(sent)] = sent
        for array, _ in arrays:
            out = np.full_like(array, 7)
            packets[1].take(out)
            assert out.tobytes() == array.tobytes()
        assert len(packets[1].content) == len(sent)


@with_all_loops
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_zeros_take_a_bit_each_and_an_array_never_takes_more_than_its_own_bytes(loops, dtype, share):
    array = np.zeros(8000, dtype)
    array[: int(8000 * share)] = 1.5
    packet = Packet(room(8000, array.itemsize), dtype, loops)
    packet.put(array, sparse=True)
    fewest = min(array.nbytes, 1000 + int(8000 * share) * array.itemsize)
    assert fewest <= len(packet.content) <= fewest + 16


@with_all_loops
def test_an_array_that_is_not_said_to_be_sparse_is_not_searched(loops):
    packet = Packet(room(80, 4), "float32", loops)
    packet.put(np.zeros(80, "float32"), sparse=False)
    assert len(packet.content) == 8 + 320
