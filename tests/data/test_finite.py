"""Inputs that are not finite, as they were read or as they reach the network, are named by file, row and column."""

import re

import numpy as np
import pytest

from dpnet.data.finite import check_finite, check_scaled, may_overflow
from dpnet.data.scaling import UNSCALED, Scaling
from dpnet.errors import DataError

LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_the_first_of_several_is_named(bad, dtype):
    raw = np.zeros((4, 3), dtype)
    raw[2, 1] = raw[3, 0] = bad
    for check in (check_finite, lambda *rows: check_scaled(*rows, UNSCALED, np.float32)):
        with pytest.raises(
            DataError, match=rf"x\.npy, row 102, column 1 \(both from 0\): the value is {bad}; expected"
        ):
            check(raw, range(100, 104), "x.npy")


def test_a_value_that_only_float64_holds_is_named_with_its_scaling():
    raw = np.array([[0.0, 1.0], [0.0, 1e300]])
    seen = "row 1, column 1 (both from 0): the value is 1e+300; scaled for the network, (value - 2) * 0.5, it is too "
    with pytest.raises(DataError, match=re.escape(seen + "large for float32;")):
        check_scaled(raw, range(2), "x.npy", Scaling(np.array([0.0, 2.0]), np.array([1.0, 0.5])), np.float32)
    check_scaled(raw, range(2), "x.npy", UNSCALED, np.float64)


def test_scaling_may_bring_a_value_back_into_range_and_out_of_it():
    check_scaled(np.array([[1e300]]), range(1), "x.npy", Scaling(np.zeros(1), np.array([1e-300])), np.float32)
    with pytest.raises(DataError, match="the value is 1"):
        check_scaled(np.array([[1]], np.uint8), range(1), "x.npy", Scaling(np.zeros(1), np.array([1e140])), np.float32)


def test_whole_numbers_are_always_finite():
    check_finite(np.array([[255, 0]], np.uint8), range(1), "x.npy")


@pytest.mark.parametrize(
    ("low", "high", "factor", "may"),
    [
        (-1.0, LARGEST, 1.0, False),
        (-1.0, 4e38, 1.0, True),
        (-4e38, 1.0, 1.0, True),
        (0.0, 1e300, 1e-300, False),
        (0.0, 1.0, 1e140, True),
        (0.0, np.inf, 1.0, True),
        (0.0, np.nan, 1.0, True),
    ],
)
def test_the_extremes_show_whether_a_value_may_be_too_large(low, high, factor, may):
    scaling = Scaling(np.zeros(2), np.array([1e-300, factor]))
    assert may_overflow(low, high, scaling, np.float32) is may
