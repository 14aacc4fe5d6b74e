"""Small files of every kind that dpnet reads, as bytes, for tests that damage them."""

from __future__ import annotations

import bz2
import gzip
import importlib
import importlib.util
import io
import lzma
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

X, Y = np.arange(24, dtype=np.uint8).reshape(4, 6), np.arange(4)
"""Four samples of as many classes."""
HAS_TABLES, HAS_HDF5, HAS_SVMLIGHT = (
    importlib.util.find_spec(name) is not None for name in ("pyarrow", "h5py", "sklearn")
)


def npy(array: Any) -> bytes:
    """An array as an .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


NPZ = zipped({"x_train.npy": npy(X), "y_train.npy": npy(Y)})
STORED = zipped({"x_train.npy": npy(X.astype("<f4")), "y_train.npy": npy(Y), "w_train.npy": npy(Y + 1)}, 0)
IDX = bytes([0, 0, 8, 2, 0, 0, 0, 4, 0, 0, 0, 6]) + X.tobytes()
SVM = b"-1 1:0.5 4:2 # one\n+1 qid:3 2:1e-3 3:-0.25\n\n# none\n+1 1:7\n"
SVM_SETS = b"1,7 1:0.5 3:2\n 2:1 # none\n7 qid:1 1:1\n3,1 3:1\n"
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
"""How text is compressed, by the ending of its name."""


def hdf5(kind: str) -> bytes:
    """A small file: arrays in one piece, or in compressed chunks, or labels of text and links."""
    h5py = importlib.import_module("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest" if kind == "latest" else None) as file:
        chunks = {"chunks": (2, 3), "compression": "gzip", "shuffle": True} if kind in ("chunks", "latest") else {}
        file.create_dataset("x_train", data=X, **chunks)
        file["y_train"] = [f"c{label}" for label in Y] if kind == "text" else Y
        file["sim/other"] = h5py.SoftLink("/x_train") if kind == "text" else X
    return stream.getvalue()


def _stream(table: Any, to: Any) -> None:
    """Write a table as a stream of Arrow."""
    with importlib.import_module("pyarrow.ipc").new_stream(to, table.schema) as writer:
        writer.write_table(table)


def _tables() -> dict[str, bytes]:
    arrow = {name: importlib.import_module(f"pyarrow.{name}") for name in ("csv", "parquet", "feather")}
    table = importlib.import_module("pyarrow").table(
        {"a": [1, 2, None, 4], "t": ["x", "y", "x", None], "kind": ["u", "v", "u", "v"]}
    )
    tabs, feather = arrow["csv"].WriteOptions(delimiter="\t"), arrow["feather"].write_feather
    writers: dict[str, Callable[[Any, Any], object]] = {
        "t.csv": arrow["csv"].write_csv,
        "t.tsv": lambda table, to: arrow["csv"].write_csv(table, to, tabs),
        "t.parquet": arrow["parquet"].write_table,
        "t.feather": lambda table, to: feather(table, to, compression="uncompressed"),
        "lz4.feather": lambda table, to: feather(table, to, compression="lz4"),
        "zstd.feather": lambda table, to: feather(table, to, compression="zstd"),
        "t.arrow": _stream,
    }
    found = {}
    for name, write in writers.items():
        stream = io.BytesIO()
        write(table, stream)
        found[name] = stream.getvalue()
    return {**found, "t.csv.gz": gzip.compress(found["t.csv"])}


TABLES = _tables() if HAS_TABLES else {}
"""Tables with a gap, text and two classes, by name."""
