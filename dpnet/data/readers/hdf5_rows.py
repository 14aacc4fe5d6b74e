"""Rows of HDF5 files that cannot be mapped, and may be larger than memory: a process reads them as they are needed."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dpnet.data.in_parts import InParts
from dpnet.data.readers.hdf5_file import Reading, described, mapped


class Hdf5Rows(InParts):
    """The rows of a data set, which a process reads as long as this object is there.

    Args:
        reading: the process, which has said what the data set is.
        dtype: see InParts.
        shape: see InParts.
        chunk: see InParts.
    """

    def __init__(self, reading: Reading, dtype: np.dtype[Any], shape: tuple[int, ...], chunk: int) -> None:
        super().__init__(dtype, shape, chunk)
        self._reading = reading

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """See InParts.read; raises DataError if the file is damaged."""
        return self._reading.rows(start, stop, self.dtype, (stop - start, *self.shape[1:]))


def open_rows(path: str, name: str) -> npt.NDArray[Any]:
    """A data set of numbers, which must be there: mapped, or else its rows, to be read in parts; see `read_arrays`."""
    reading = Reading(path, {"rows": name}, asked=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(reading)
        answer = reading.line()
        dtype, shape = described(answer, f"{path} ({name})")
        if answer["offset"] is not None:
            return mapped(path, name, dtype, shape, int(answer["offset"]))
        rows = Hdf5Rows(reading, dtype, shape, max(int(answer["chunk"]), 1))
        weakref.finalize(rows, stack.pop_all().close)
        return cast(npt.NDArray[Any], rows)
