"""bfloat16 by its definition: the nearest number with 8 significant bits, ties to even."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpnet.compute.loops import bfloat16, reference

LARGEST = 2.0**127 * (2 - 2**-7)


def to(numbers):
    numbers = np.array(numbers, np.float32)
    out = np.full(numbers.shape, 1, np.uint16)
    reference.to_bfloat16(numbers, out)
    return out


def back(halves):
    halves = np.array(halves, np.uint16)
    out = np.full(halves.shape, 1, np.float32)
    reference.from_bfloat16(halves, out)
    return out


def test_every_bfloat16_survives_the_way_there_and_back():
    halves = np.arange(2**16, dtype=np.uint16)
    numbers = back(halves)
    regular = ~np.isnan(numbers)
    assert (to(numbers)[regular] == halves[regular]).all()
    assert np.isnan(back(to(numbers[~regular]))).all()
    assert back([0x3F80, 0xC000, 0x0001]).tolist() == [1, -2, 2.0**-133]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(1 + 2**-8)  # A tie: down to the even one.
@example(1 + 3 * 2**-8)  # A tie: up to the even one.
@example(float(np.nextafter(np.float32(1 + 2**-8), np.float32(2))))
@example(-0.0)
@example(2.0**-149)
def test_it_is_the_nearest_and_at_a_tie_the_even_one(number):
    half = int(to([number])[0])
    (rounded,) = back([half])
    if abs(number) >= LARGEST + 2.0**119:  # Half a place above the largest.
        assert rounded == np.copysign(np.inf, number)
        return
    neighbours = [other for other in back([(half - 1) & 0xFFFF, (half + 1) & 0xFFFF]) if np.isfinite(other)]
    error = abs(float(rounded) - number)
    assert np.signbit(rounded) == np.signbit(np.float32(number))
    for other in map(float, neighbours):
        assert error < abs(other - number) or (error == abs(other - number) and half % 2 == 0) or rounded == other


@pytest.mark.parametrize("bits", [0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x7FC00000])
def test_nan_stays_nan(bits):
    assert np.isnan(back(to(np.array([bits], np.uint32).view(np.float32))))


def test_infinities_stay_and_long_vectors_are_rounded_to_their_end():
    assert back(to([np.inf, -np.inf])).tolist() == [np.inf, -np.inf]
    numbers = np.full(bfloat16.TILE + 3, 1 + 2**-7 + 2**-20)
    assert (back(to(numbers)) == 1 + 2**-7).all()
