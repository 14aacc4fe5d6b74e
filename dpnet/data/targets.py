"""Targets of a regression as files hold them: numbers, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.data.classes import label_text
from dpnet.data.labels import Place, in_rows_of
from dpnet.errors import DataError

SHOWN = 3
"""Outputs that a sentence describes."""
MANY, FEW_ROWS = 20, 10
"""More different whole numbers than this, of which one stands for less than so many rows, are hardly classes."""
Numbers = npt.NDArray[np.float64]


def check_targets(targets: npt.NDArray[Any], file: str, place: Place | None = None) -> Numbers:
    """Targets as float64.

    Args:
        targets: (n,), or (n, outputs) for several outputs; integers, real numbers or booleans, which are 0 and 1.
        file: their origin, for messages.
        place: of each row; None: the row of the file.

    Returns:
        (n, outputs).

    Raises:
        DataError: they are no numbers, or one of them is NaN or infinite.
    """
    place = place or in_rows_of(file)
    kind, shape = targets.dtype.kind, targets.shape
    if kind in "US" and targets.size:
        text = targets.flat[0].decode(errors="replace") if kind == "S" else str(targets.flat[0])
        raise is_a_text(place(0), text)
    if kind not in "biuf" or targets.ndim not in (1, 2) or 0 in shape[1:]:
        raise DataError(
            f"{file} holds targets of type {targets.dtype} and shape {shape}; expected numbers: (samples,), or "
            "(samples, outputs) for several outputs."
        )
    with np.errstate(over="ignore"):
        numbers = targets.reshape(len(targets), -1).astype(np.float64)
    if not (finite := np.isfinite(numbers)).all():
        row, column = (int(place) for place in np.argwhere(~finite)[0])
        of = f" {column} (from 0)" if numbers.shape[1] > 1 else ""
        raise DataError(
            f"{place(row)}: the target{of} is {targets.reshape(numbers.shape)[row, column]}; expected a finite number; "
            "leave out that sample."
        )
    return numbers


def is_a_text(place: str, text: str) -> DataError:
    """The error for a target that is a text."""
    return DataError(
        f"{place}: the target is {label_text(text)}, a text; expected plain numbers, such as -1234.5. If texts are "
        'labels of classes: model.task = "classification".'
    )


def looks_like_targets(values: npt.NDArray[Any]) -> bool:
    """Whether numbers look like the targets of a regression: fractions, or many different ones that few rows share.

    Args:
        values: of any shape; what is not finite says nothing.
    """
    known = values[np.isfinite(values)]
    if (known != np.floor(known)).any():
        return True
    distinct = len(np.unique(known))
    return distinct > MANY and distinct * FEW_ROWS > len(known)


def targets_text(targets: Numbers, weights: Vector | None = None) -> str:
    """What targets there are, in words: of each of the first outputs, from where to where, and its mean.

    Args:
        targets: (n, outputs).
        weights: (n,), of the samples in mean and deviation; those of weight 0 are left out. None: all alike.
    """
    whole = len(targets)
    if weights is not None:
        targets, weights = targets[weights > 0], weights[weights > 0]
    parts = []
    for values in targets.T[:SHOWN]:
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(values, weights=weights)
            deviation = np.sqrt(np.average(np.square(values - mean), weights=weights))
        parts.append(f"{values.min():g} to {values.max():g}, mean {mean:g}, standard deviation {deviation:g}")
    count, outputs = targets.shape
    weighted = "" if count == whole else " with a weight above 0"
    if outputs == 1 and (targets == targets[0]).all():
        return f"all {count:,} training targets are {targets[0, 0]:g}: there is nothing to learn"
    if outputs == 1:
        return f"{count:,} targets{weighted}, {parts[0]}"
    more = f"; and {outputs - SHOWN} more" if outputs > SHOWN else ""
    return f"{count:,} targets of {outputs} numbers{weighted}: {'; '.join(parts)}{more}"
