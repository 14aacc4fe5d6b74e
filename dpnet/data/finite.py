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

FILLS_IN = 'data.missing = "mean", "zero" or "indicator", which fills in missing values'
"""The key that helps."""
LARGEST_TARGET = 1e100
"""Largest scaled target: the square of an error as large, weighted, and the sum of very many of them, are finite."""


def check_finite(raw: Inputs, numbers: range | SampleIds, file: str, *, is_applied: bool = False) -> None:
    """Check rows as they were read.

    Args:
        raw: (rows, features) of any real dtype.
        numbers: of the rows in their file.
        file: the file, for the message.
        is_applied: a trained network is applied to them: what stands for missing values is decided.

    Raises:
        DataError: a value is NaN or infinite; the first one is named.
    """
    if bad := _first(~np.isfinite(raw)):
        raise _not_finite(raw, *bad, numbers, file, is_applied=is_applied)


def check_infinite(raw: Inputs, numbers: range | SampleIds, file: str) -> None:
    """Check rows in which values may be missing; raises DataError if a value is infinite. See `check_finite`."""
    if bad := _first(np.isinf(raw)):
        raise _not_finite(raw, *bad, numbers, file)


def _not_finite(
    raw: Inputs, row: int, column: int, numbers: range | SampleIds, file: str, *, is_applied: bool = False
) -> DataError:
    value, way = raw[row, column], "; repair or leave out that sample."
    if np.isnan(value):
        way = ". The network was trained without missing values." if is_applied else f", or {FILLS_IN}."
    return DataError(f"{_place(file, numbers[row], column)}: the value is {value}; expected a finite number{way}")


def check_scaled(
    raw: Inputs,
    numbers: range | SampleIds,
    file: str,
    scaling: Scaling,
    dtype: npt.DTypeLike,
    *,
    is_applied: bool = False,
) -> None:
    """Check rows as they reach the network: (raw - offset) * factor, rounded to `dtype`.

    Args:
        raw: see `check_finite`.
        numbers: see `check_finite`.
        file: see `check_finite`.
        scaling: of the network's input.
        dtype: of the network.
        is_applied: see `check_finite`.

    Raises:
        DataError: a value is not finite, as it was read or once it is scaled; the first one is named.
    """
    check_finite(raw, numbers, file, is_applied=is_applied)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = ((raw.astype(np.float64) - scaling.offset) * scaling.factor).astype(dtype)
    if bad := _first(~np.isfinite(scaled)):
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


def _first(bad: npt.NDArray[np.bool_]) -> tuple[int, int] | None:
    """Row and column of the first value that is marked; None: there is none."""
    found: npt.NDArray[Any] = np.argwhere(bad)
    return (int(found[0, 0]), int(found[0, 1])) if len(found) else None


def _place(file: str, row: int | np.integer[Any], column: int) -> str:
    return f"{file}, row {row}, column {column} (both from 0)"
