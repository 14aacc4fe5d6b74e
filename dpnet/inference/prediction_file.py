"""A file of predictions that appears when it is complete."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, SampleIds
from dpnet.errors import ConfigError
from dpnet.files import unfinished, writing
from dpnet.inference.answers import Answers

MAX_NAME = 1000
"""Most characters of the name of a sample in an .npy file."""


class PredictionFile:
    """A file of predictions, .npy or .csv, that appears when it is complete. Only rank 0 opens it.

    Args:
        path: of the file; its ending chooses the format.
        num_samples: samples that will be appended, at most.
        answers: what is written of each sample.
        dtype: of the outputs.
        name: column of the names of samples; None: they have none.
        names: (samples,) str, of all samples.
    """

    def __init__(
        self,
        path: Path,
        num_samples: int,
        answers: Answers,
        dtype: np.dtype[Any],
        name: str | None = None,
        names: npt.NDArray[np.object_] | None = None,
    ) -> None:
        self._path, self._temporary = path, unfinished(path)
        self._num_samples, self._answers, self._appended = num_samples, answers, 0
        self._name, self._names = name, names
        self._longest = 0 if names is None else max(map(len, names), default=0)
        of_names = [] if names is None else [("id", f"<U{max(1, self._longest)}")]
        self._record = np.dtype([*of_names, *answers.record(dtype)])
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Make the file under a temporary name and write its header.

        Raises:
            ConfigError: the ending names no format, or a name is too long for it.
            OutputError: the file cannot be written; the other methods raise it too.
        """
        if self._path.suffix not in (".npy", ".csv"):
            raise ConfigError(f"--out is {self._path}; it must end in .npy or .csv")
        if self._path.suffix == ".npy" and self._longest > MAX_NAME:
            raise ConfigError(
                f"--out is {self._path}, in which every name of a row takes the room of the longest, which has "
                f"{self._longest:,} characters; write a .csv file."
            )
        with writing(self._path):
            self._file = self._temporary.open("wb")
            if self._path.suffix == ".npy":
                self._file.write(self._header(self._num_samples))
            else:
                first = [] if self._name is None else [self._name]
                self._file.write(_csv([[*first, *self._answers.names()]]))

    def append(self, finished: Matrix, ids: SampleIds) -> None:
        """Write the next samples.

        Args:
            finished: (rows, outputs) see Answers.
            ids: (rows,) of the samples.
        """
        assert self._file is not None
        self._appended += len(ids)
        with writing(self._path):
            if self._path.suffix == ".npy":
                records = np.empty(len(ids), dtype=self._record)
                self._answers.fill(records, finished)
                if self._names is not None:
                    records["id"] = self._names[ids]
                self._file.write(records.tobytes())
            else:
                rows = self._answers.cells(finished)
                if self._names is not None:
                    rows = [[str(name), *row] for name, row in zip(self._names[ids], rows, strict=True)]
                self._file.write(_csv(rows))

    def close(self) -> None:
        """Complete the file and give it its name."""
        assert self._file is not None
        with writing(self._path):
            if self._appended < self._num_samples and self._path.suffix == ".npy":
                self._file.seek(0)
                self._file.write(self._header(self._appended))
            self._file.close()
            os.replace(self._temporary, self._path)

    def _header(self, count: int) -> bytes:
        """The header of an .npy file of `count` records; numpy makes it equally long for every count."""
        buffer = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self._record)
        np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": (count,)})
        return buffer.getvalue()

    def discard(self) -> None:
        """Delete the file, if it is not complete: to be called when any of the others has failed."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows of a CSV file: text with a comma, a quote or a line break, be it a carriage return alone, is quoted."""
    lines = list[str]()
    # What stands in the end of lines is quoted, in every version of Python; so both characters of a line break do.
    csv.writer(_Collector(lines), lineterminator="\r\n").writerows(rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines).encode()


class _Collector:
    """A file for csv.writer, which writes a row at once."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append
