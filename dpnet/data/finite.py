"""Inputs and targets that are not finite: found by row, and reported alike by training, evaluation and prediction.

What counts is the value that reaches the network. NaN and infinity do so from any file. A finite number can do so too:
scaled, it may be beyond the network's precision.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds
from dpnet.data.split import Inputs, Split
from dpnet.errors import DataError

if TYPE_CHECKING:
    from dpnet.data.scaling import Scaling  # It imports `statistics`, which checks inputs here.

LARGEST_TARGET = 1e100
"""Largest scaled target: the square of an error as large, weighted, and the sum of very many of them, are finite."""


def check_finite(raw: Inputs, numbers: range | SampleIds, file: str) -> None:
    """Check rows as they were read.

    Args:
        raw: (rows, features) of any real dtype.
        numbers: of the rows in their file.
        file: the file, for the message.

    Raises:
        DataError: a value is NaN or infinite; the first one is named.
    """
    if bad := _first_bad(raw):
        row, column = bad
        raise DataError(
            f"{_place(file, numbers[row], column)}: the value is {raw[row, column]}; "
            "expected a finite number; repair or leave out that sample."
        )


def check_scaled(raw: Inputs, numbers: range | SampleIds, file: str, scaling: Scaling, dtype: npt.DTypeLike) -> None:
    """Check rows as they reach the network: (raw - offset) * factor, rounded to `dtype`.

    Args:
        raw: see `check_finite`.
        numbers: see `check_finite`.
        file: see `check_finite`.
        scaling: of the network's input.
        dtype: of the network.

    Raises:
        DataError: a value is not finite, as it was read or once it is scaled; the first one is named.
    """
    check_finite(raw, numbers, file)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = ((raw.astype(np.float64) - scaling.offset) * scaling.factor).astype(dtype)
    if bad := _first_bad(scaled):
        row, column = bad
        offset, factor = (vector[column if len(vector) > 1 else 0] for vector in (scaling.offset, scaling.factor))
        raise DataError(
            f"{_place(file, numbers[row], column)}: the value is {raw[row, column]}; scaled for the network, "
            f"(value - {offset:g}) * {factor:g}, it is too large for {np.dtype(dtype)}; repair or leave out that "
            "sample, or train with another data.scale or model.dtype."
        )


def may_overflow(low: float, high: float, scaling: Scaling, dtype: npt.DTypeLike) -> bool:
    """Whether a value from `low` to `high` in some feature, scaled, can be too large for `dtype`."""
    with np.errstate(over="ignore", invalid="ignore"):
        extremes = [(np.float64(value) - scaling.offset) * scaling.factor for value in (low, high)]
        return not all(np.isfinite(extreme.astype(dtype)).all() for extreme in extremes)


def check_scaled_targets(splits: Iterable[Split], scaling: Scaling) -> None:
    """Check the targets of a regression as the loss sees them; one of weight 0 may be anything. Classes have none.

    Raises:
        DataError: a target, scaled, is larger than LARGEST_TARGET; the first one is named.
    """
    if (fit := scaling.targets) is None:
        return
    for split in splits:
        if split.labels is None:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            bad = ~(np.abs((split.labels - fit.offset) * fit.factor) <= LARGEST_TARGET)
        if split.weights is not None:
            bad &= split.weights[:, np.newaxis] > 0
        if bad.any():
            row, column = (int(number) for number in np.argwhere(bad)[0])
            of = f" {column} (from 0)" if split.labels.shape[1] > 1 else ""
            raise DataError(
                f"{split.label_place(row)}: the target{of} is {split.labels[row, column]:g}, and the training targets "
                f"have the mean {fit.offset[column]:g} and the deviation {fit.units[column]:g}: so far away its error "
                "is beyond float64; repair or leave out that sample, or give it the weight 0."
            )


def _first_bad(values: Inputs) -> tuple[int, int] | None:
    """Row and column of the first value that is not finite; None: there is none."""
    bad: npt.NDArray[Any] = np.argwhere(~np.isfinite(values))
    return (int(bad[0, 0]), int(bad[0, 1])) if len(bad) else None


def _place(file: str, row: int | np.integer[Any], column: int) -> str:
    return f"{file}, row {row}, column {column} (both from 0)"
