"""What svmlight text holds: the entries of some rows, and what stays of them once they are not kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dpnet.compute.arrays import SampleIds, Vector
from dpnet.errors import DataError
from dpnet.text import counted

ROWS = 1 << 14
"""Rows that are spread out at a time."""
MAX_INDEX = int(np.iinfo(np.int64).max)


class Parsed(NamedTuple):
    """What some rows of a file hold.

    Attributes:
        labels: (rows,) float64; where a line may have several labels, 0.
        sets: (rows) the labels of each, in rising order, where a line may have several.
        values: (entries,) float64, of all rows.
        indices: (entries,) int64, as they stand in the file, rising in each row.
        starts: (rows + 1,) int64, where each row begins among the entries.
        lines: (rows,) int64, of the file, from 1.
        groups: number of lines with qid.
    """

    labels: Vector
    sets: Sequence[tuple[float, ...]]
    values: Vector
    indices: SampleIds
    starts: SampleIds
    lines: SampleIds
    groups: int

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.labels)

    def spread(self, first: int, width: int) -> Vector:
        """(rows, width) float64, with the feature of index `first` in front; what lies beyond is left out."""
        inputs = np.zeros((self.rows, width))
        for start in range(0, self.rows, ROWS):
            stop = min(start + ROWS, self.rows)
            part = slice(self.starts[start], self.starts[stop])
            of_row = np.repeat(np.arange(start, stop), np.diff(self.starts[start : stop + 1]))
            columns = self.indices[part] - first
            known = columns < width
            inputs[of_row[known], columns[known]] = self.values[part][known]
        return inputs


class Found(NamedTuple):
    """What stays of the rows of a file: few numbers of each.

    Attributes:
        labels: see Parsed.
        of_sets: (labels of all rows) float64, where a line may have several.
        counts: (rows,) how many of these each row has; none where a line has one label.
        lines: see Parsed.
        highest: (rows,) int64, the largest index of each row; -1 of a row without entries.
        lowest: the smallest index of all; MAX_INDEX where there is none.
        lowest_line: the first line that has it.
        groups: see Parsed.
    """

    labels: Vector
    of_sets: Vector
    counts: SampleIds
    lines: SampleIds
    highest: SampleIds
    lowest: int
    lowest_line: int
    groups: int

    @classmethod
    def of(cls, parsed: Parsed) -> Found:
        """What stays of some rows."""
        highest, lowest, line = np.full(parsed.rows, -1), MAX_INDEX, 0
        some = np.diff(parsed.starts) > 0  # Indices rise in each row.
        if some.any():
            highest[some] = parsed.indices[parsed.starts[1:][some] - 1]
            firsts = parsed.indices[parsed.starts[:-1][some]]
            lowest, line = int(firsts.min()), int(parsed.lines[some][np.argmin(firsts)])
        of_sets = np.array([label for one in parsed.sets for label in one], np.float64)
        counts = np.array([len(one) for one in parsed.sets], np.int64)
        return cls(parsed.labels, of_sets, counts, parsed.lines, highest, lowest, line, parsed.groups)

    @classmethod
    def together(cls, blocks: Sequence[Found]) -> Found:
        """What stays of adjacent blocks, one or more."""
        arrays = (np.concatenate(parts) for parts in zip(*(block[:-3] for block in blocks), strict=True))
        least = min(blocks, key=lambda block: block.lowest)
        return cls._make((*arrays, least.lowest, least.lowest_line, sum(block.groups for block in blocks)))

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.labels)

    def check(self, path: str) -> None:
        """Raises DataError if a file holds no sample, or no feature of one."""
        if (self.highest < 0).all():
            raise DataError(f"{path} holds {counted(self.rows, 'sample')} with 0 features; expected both.")

    def set_of(self, row: int) -> tuple[float, ...]:
        """The labels of a row, in rising order, where a line may have several."""
        end = int(self.counts[: row + 1].sum())
        return tuple(self.of_sets[end - self.counts[row] : end].tolist())
