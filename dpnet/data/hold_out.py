"""Holding out: which rows of some data are kept apart, to test or to validate with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import SampleIds
from dpnet.compute.random import HOLD_OUT, VALIDATION, random_bits
from dpnet.config.data import DataConfig
from dpnet.data.labels import NO_REGRESSION
from dpnet.errors import DataError
from dpnet.text import counted


def cut(
    labels: npt.NDArray[Any], section: DataConfig, *, file: str, seed: int, rows: SampleIds | None = None
) -> dict[str, SampleIds]:
    """Which rows are trained on, and which are held out as data.test and data.validation say.

    The rows to test with follow from the labels alone, so that trainings with other seeds are tested on the same ones.
    Those to validate with are a share of the others.

    Args:
        labels: (rows,) int64, the numbers of the classes of all rows.
        section: of the job.
        file: with the labels, for messages.
        seed: of the training.
        rows: that are shared out, in order; None: all.

    Returns:
        the rows "train", and of each key that is a share the rows "test" or "validation", each in order.

    Raises:
        DataError: a share is less than a row.
    """
    rows, found = np.arange(len(labels)) if rows is None else rows, {}
    for name, share, its_seed, purpose in (
        ("test", section.test, 0, HOLD_OUT),
        ("validation", section.validation, seed, VALIDATION),
    ):
        if isinstance(share, float):
            key = f"data.{name}"
            held, others = hold_out(labels[rows], share, key=key, file=file, seed=its_seed, purpose=purpose)
            found[name], rows = rows[held], rows[others]
    return {"train": rows, **found}


def hold_out(
    labels: npt.NDArray[Any], share: float, *, key: str, file: str, seed: int = 0, purpose: int = HOLD_OUT
) -> tuple[SampleIds, SampleIds]:
    """Choose rows to hold out: of every class as near to the share as whole rows allow, in an order without meaning.

    They follow from the labels, the share and the seed alone: so they are the same in every format of the data and on
    any number of ranks. At least one row of each class is left, so that no class is lost to the training.

    Args:
        labels: (rows,) int64, the numbers of the classes of all rows; or text; or (rows, outputs), the targets of a
            regression, of which none is a class.
        share: of the rows that is held out, above 0 and below 1.
        key: of the job file, which asks for it, for messages.
        file: with the labels, for messages.
        seed: other seeds give other rows.
        purpose: of the random bits, see `compute.random`.

    Returns:
        the rows held out, and all others, each in order.

    Raises:
        DataError: there would be no row to hold out.
    """
    if labels.ndim > 1:
        labels = np.zeros(len(labels), np.int64)
    numbers = labels if labels.dtype.kind == "i" else np.unique(labels, return_inverse=True)[1]
    numbers = numbers - numbers.min()
    bits, by_class = random_bits(len(labels), seed=seed, purpose=purpose), np.argsort(numbers, kind="stable")
    held, first = np.zeros(len(labels), np.bool_), 0
    for count in np.bincount(numbers):
        rows = by_class[first : first + count]
        first += count
        held[rows[np.argsort(bits[rows], kind="stable")[: min(round(share * count), max(count - 1, 0))]]] = True
    if not held.any():
        of, hint = (" of any class", f" {NO_REGRESSION}") if numbers.any() else ("", "")
        raise DataError(
            f"{key} is {share}: of the {counted(len(labels), 'row')} of {file} that is not one{of}; "
            f"take a larger share, or a file of its own.{hint}"
        )
    return np.flatnonzero(held), np.flatnonzero(~held)
