"""Converts a chunk of rows: writes, hashes and measures them in one pass, while they are in the cache."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.data import statistics
from dpnet.data.converted.unfinished import RowWriter, Unfinished
from dpnet.data.split import Inputs, Split
from dpnet.data.statistics import Moments

Numbers = npt.NDArray[np.float64]


class Extremes:
    """The smallest and the largest value of each feature, of the rows that were seen."""

    def __init__(self) -> None:
        self.low: Inputs | None = None
        self.high: Inputs | None = None

    def see(self, rows: Inputs) -> None:
        """Take in some rows."""
        low, high = rows.min(axis=0), rows.max(axis=0)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)


class ConvertedChunk(NamedTuple):
    """A chunk that was converted.

    Attributes:
        sha256: of its inputs, in hex.
        moments: of its inputs.
        low: (features,) float64, the smallest value of each feature.
        high: likewise the largest.
        kept: it was there already.
    """

    sha256: str
    moments: Moments
    low: Numbers
    high: Numbers
    kept: bool = False


def convert_chunk(unfinished: Unfinished, name: str, split: Split, number: int, *, check: bool) -> ConvertedChunk:
    """Write a chunk of a split.

    Args:
        unfinished: the conversion.
        name: of the split.
        split: the samples.
        number: of the chunk, in `statistics.chunks(len(split))`.
        check: refuse inputs that are not finite.

    Raises:
        DataError: an input is not finite.
        OSError: it cannot be written.
    """
    shape = (len(split), split.features)
    first = statistics.chunks(len(split))[number][0]
    with RowWriter(unfinished.path(name, "inputs"), split.inputs.dtype, shape, first) as writer:
        done = _pass(split, number, check=check, writer=writer)
    unfinished.list_chunk(name, number, done.sha256)
    return done


def keep_chunk(
    unfinished: Unfinished, name: str, split: Split, number: int, expected: str, *, check: bool
) -> ConvertedChunk | None:
    """Read a chunk that was written before; None: it is not what it was then, or what is refused now.

    Args:
        unfinished: the conversion; the first row of the split is in its place.
        name: of the split.
        split: see `convert_chunk`.
        number: see `convert_chunk`.
        expected: the sha256 that was listed for it.
        check: see `convert_chunk`.
    """
    written = dataclasses.replace(split, inputs=unfinished.mapped(name), rows=None)
    done = _pass(written, number, check=False, writer=None)
    if check and not np.isfinite(done.moments.total).all():
        return None  # Whoever converts it again says where.
    return done._replace(kept=True) if done.sha256 == expected else None


def _pass(split: Split, number: int, *, check: bool, writer: RowWriter | None) -> ConvertedChunk:
    chunk, total, extremes = statistics.chunks(len(split))[number], hashlib.sha256(), Extremes()

    def see(rows: Inputs) -> None:
        total.update(np.ascontiguousarray(rows).data)
        extremes.see(rows)
        if writer is not None:
            writer.write(rows)

    with np.errstate(all="ignore"):
        moments = statistics.measure(split, chunk, check=check, see=see)
    assert extremes.low is not None
    assert extremes.high is not None
    return ConvertedChunk(total.hexdigest(), moments, extremes.low.astype(float), extremes.high.astype(float))


def together(parts: Sequence[ConvertedChunk]) -> ConvertedChunk:
    """Adjacent chunks, in order, as one; without a sha256."""
    low = reduce(np.minimum, (part.low for part in parts))
    high = reduce(np.maximum, (part.high for part in parts))
    return ConvertedChunk("", statistics.combine([part.moments for part in parts]), low, high)


def statistics_array(whole: ConvertedChunk) -> Numbers:
    """(4, features) see `manifest.STATISTICS`."""
    moments = whole.moments
    with np.errstate(all="ignore"):
        deviation = np.sqrt(moments.m2 / moments.count)
    return np.stack([moments.mean, deviation, whole.low, whole.high])
