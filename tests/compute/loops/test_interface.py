"""What the compiled loops can read."""

import numpy as np
import pytest

from dpnet.compute.loops.interface import can_gather


@pytest.mark.parametrize(
    ("dtype", "expected"), [("u1", True), ("f4", True), ("?", True), ("f2", False), (">f4", False)]
)
def test_raw_types_that_cannot_be_compiled_are_known(dtype, expected):
    assert can_gather(np.dtype(dtype)) == expected
