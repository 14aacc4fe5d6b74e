"""Rows for which a network has no answer: an input or an output is not finite.

A row is a sample, and no other sample influences it. A NaN in a row makes all of its probabilities NaN; an infinite
input need not show in the output at all, so inputs and outputs are both looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix
from dpnet.data.finite import check_scaled
from dpnet.data.split import Split
from dpnet.errors import DataError
from dpnet.inference.network import Network
from dpnet.text import counted

OnNonFinite = Literal["raise", "skip", "nan"]
"""End with an error; leave the row out; mark the row."""
SHOWN = 10
"""Rows that are named, at most."""


def unanswered(x: Matrix, logits: Matrix) -> npt.NDArray[np.bool_] | None:
    """Which rows of a batch have no answer: (rows,); None if all have one, as in almost every batch.

    Args:
        x: (rows, features) scaled inputs.
        logits: (rows, classes) the output for them.
    """
    if np.isfinite(x).all() and np.isfinite(logits).all():
        return None
    return np.logical_or(~np.isfinite(x).all(axis=1), ~np.isfinite(logits).all(axis=1))


def refusal(network: Network, samples: Split, row: int, ways: str, *, agreed: bool = False) -> DataError:
    """The error for a row without an answer.

    Args:
        network: that was applied to it.
        samples: with the row.
        row: its number among the samples.
        ways: what else can be asked for, as the end of the message.
        agreed: see DpnetError.
    """
    try:
        raw, dtype = samples.block(row, row + 1), network.job.model.dtype
        numbers = samples.in_file(row, row + 1)
        check_scaled(raw, numbers, samples.inputs_file, network.scaling, dtype, is_applied=True)
        message = (
            f"{samples.inputs_file}, row {numbers[0]} (from 0): the network's output overflows {dtype}, its inputs are "
            f"so large (from {raw.min():g} to {raw.max():g}); expected values like those it was trained on."
        )
    except DataError as error:
        message = str(error)
    return DataError(f"{message.rstrip('.')}; {ways}.", agreed=agreed)


def lines_of(samples: Split, rows: Sequence[int]) -> tuple[str, ...]:
    """The lines of samples in a file of text, each as `line 6`; empty: they have none.

    Args:
        samples: of all ranks.
        rows: some of them, by number among the samples.
    """
    if samples.place is None:
        return ()
    found = [re.search(r", (line \d+)(?:, column|$)", samples.place(row)) for row in rows]
    return tuple(match[1] for match in found if match is not None)


def rows_text(count: int, total: int, rows: Sequence[int], what: str, lines: Sequence[str] = ()) -> str:
    """A sentence about the rows that were left out or marked.

    Args:
        count: of these rows.
        total: rows in all.
        rows: numbers of the first of them, at least as many as are shown.
        what: was done with them.
        lines: of the same rows, see `lines_of`.
    """
    if lines:
        named = ", ".join(lines[:SHOWN]) + (f" and {count - SHOWN:,} more" if count > SHOWN else "")
        return f"note: {count:,} of {counted(total, 'row')} {what}, not finite: {named}"
    shown = ", ".join(map(str, rows[:SHOWN])) + (f" and {count - SHOWN:,} more" if count > SHOWN else "")
    return f"note: {count:,} of {counted(total, 'row')} {what}, not finite: row{'s' * (count > 1)} {shown} (from 0)"
