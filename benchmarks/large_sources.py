"""Sources of random samples, of any size and of every kind that `benchmarks.large` converts."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

KINDS = ("npy", "hdf5", "gzip", "npz", "deflated", "svm", "svm.gz", "csv", "parquet")
TARGET = "label"
"""The column of the labels of a table."""
BLOCK = 1 << 14
SHARE = 0.05
"""Of the values of svmlight text that are not 0."""
Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def write_source(folder: Path, gigabytes: float, features: int, kind: str) -> Path:
    """A source of random samples; returns what is to be converted."""
    rows = int(gigabytes * 1e9 / (4 * features))
    chance = np.random.default_rng(0)
    some, labels = chance.standard_normal((BLOCK, features), np.float32), chance.integers(0, 10, rows)
    folder.mkdir()
    if kind in ("npz", "deflated"):
        return write_npz(folder / "d.npz", some, labels, zipfile.ZIP_DEFLATED if kind == "deflated" else 0)
    if kind in ("svm", "svm.gz"):
        return write_svmlight(folder / f"d.{kind}", some * (chance.random(some.shape) < SHARE), labels)
    if kind in ("csv", "parquet"):
        return (write_csv if kind == "csv" else write_parquet)(folder / f"d.{kind}", some, labels)
    with contextlib.ExitStack() as stack:
        if kind in ("hdf5", "gzip"):
            import h5py

            file = stack.enter_context(h5py.File(folder / "d.h5", "w"))
            chunks = {"chunks": (1000, 98), "compression": "gzip", "compression_opts": 1} if kind == "gzip" else {}
            x: Any = file.create_dataset("x_train", (rows, features), np.float32, **chunks)
            file["y_train"] = labels
        else:
            path = folder / "x_train.npy"
            x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, features))
            np.save(folder / "y_train.npy", labels)
        for first in range(0, rows, BLOCK):
            part = some[: min(BLOCK, rows - first)]
            part[:, 0] = np.arange(first, first + len(part))  # No two samples are the same.
            x[first : first + len(part)] = part
    return folder if kind == "npy" else folder / "d.h5"


def write_npz(path: Path, some: Matrix, labels: Labels, method: int) -> Path:
    """An .npz file of as many rows as labels, which are those of `some` again and again."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(labels), some.shape[1])}
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for first in range(0, len(labels), BLOCK):
                stream.write(some[: min(BLOCK, len(labels) - first)].data)
        with archive.open("y_train.npy", "w") as stream:
            np.save(stream, labels)
    return path


def write_svmlight(path: Path, some: Matrix, labels: Labels) -> Path:
    """Svmlight text of as many rows as labels, which are those of `some` again and again."""
    from sklearn.datasets import dump_svmlight_file

    buffer = io.BytesIO()
    dump_svmlight_file(some, np.zeros(len(some)), buffer, zero_based=False)
    pairs = [line[1:] for line in buffer.getvalue().splitlines(keepends=True)]
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as stream:
        for first in range(0, len(labels), BLOCK):
            of_block = zip(labels[first : first + BLOCK].tolist(), pairs, strict=False)
            stream.write(b"".join(b"%d%b" % one for one in of_block))
    return path


def write_csv(path: Path, some: Matrix, labels: Labels) -> Path:
    """A table of text: numbers of 6 digits, one of 50 missing in one column, a column of colours, and the labels."""
    gaps, colours = np.arange(len(some)) % 50 == 0, ("red", "green", "blue")
    cells = [[f"{value:.6g}" for value in row] for row in some.tolist()]
    rows = [",".join([*row[:-1], "" if gap else row[-1]]) for row, gap in zip(cells, gaps, strict=True)]
    with path.open("w") as stream:
        stream.write(",".join([*(f"x{place}" for place in range(some.shape[1])), "colour", TARGET]) + "\n")
        for first in range(0, len(labels), BLOCK):
            of_block = zip(rows, labels[first : first + BLOCK].tolist(), strict=False)
            stream.write("".join(f"{row},{colours[label % 3]},{label}\n" for row, label in of_block))
    return path


def write_parquet(path: Path, some: Matrix, labels: Labels) -> Path:
    """A Parquet file of the same columns, in row groups of 131,072 rows."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    whole = [np.tile(column, 8) for column in some.T]
    names = [*(f"x{place}" for place in range(some.shape[1])), "colour", TARGET]
    writer = None
    for first in range(0, len(labels), 8 * BLOCK):
        of_block = labels[first : first + 8 * BLOCK]
        columns = [pa.array(column[: len(of_block)], from_pandas=True) for column in whole]
        colours = pa.array(np.array(["red", "green", "blue"])[of_block % 3].tolist())
        table = pa.table([*columns, colours, pa.array(of_block)], names=names)
        writer = writer or parquet.ParquetWriter(str(path), table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path
