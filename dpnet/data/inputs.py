"""Inputs as files hold them: checked."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from dpnet.errors import DataError

Inputs = npt.NDArray[Any]
"""(n, features) of any real numeric dtype, C order; may be a np.memmap."""


def check_inputs(inputs: Inputs, file: str) -> None:
    """Check the type and the shape of inputs.

    Args:
        inputs: (n, ...), C order.
        file: their origin, for messages.

    Raises:
        DataError: they are no numbers, or not one row for each sample.
    """
    if inputs.dtype.kind not in "biuf":
        raise DataError(f"{file} holds inputs of type {inputs.dtype}; expected integers or real numbers; convert them.")
    if inputs.ndim < 2:
        raise DataError(
            f"{file} holds inputs of shape {inputs.shape}; expected one row for each sample: (samples, features). "
            "Samples of one number each: x.reshape(-1, 1)."
        )
    if inputs.size == 0:
        raise DataError(f"{file} holds no sample: its shape is {inputs.shape}; expected at least one row and column.")
    assert inputs.flags.c_contiguous
