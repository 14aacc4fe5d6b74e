"""Files of tensors, in the safetensors format, a piece at a time.

    8 bytes     size of the header, little endian
    header      {NAME: {"dtype": ..., "shape": ..., "data_offsets": [begin, end]}, ...} as JSON, padded with spaces
    tensors     one after the other, row-major, little endian; the widest numbers first, so that all are aligned

The library writes a file in one go: for a large state that is a long time in which the writer could not change its
priority, and a second copy of the state. Files are read by the library. Format: huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dpnet.compute.shares import ceil_div, round_up

PIECE_BYTES = 1 << 20
DTYPES = {"<f8": "F64", "<f4": "F32"}
"""Names of the types of numbers."""


def pieces(tensors: Mapping[str, npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
    """The content of a file of tensors, in pieces of about a megabyte, row-major each."""
    arrays = {name: array.astype(array.dtype.newbyteorder("<"), copy=False) for name, array in tensors.items()}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    yield np.frombuffer(_header({name: arrays[name] for name in names}), np.uint8)
    for name in names:
        rows = np.atleast_1d(arrays[name])
        if rows.size:
            step = ceil_div(len(rows) * PIECE_BYTES, max(rows.nbytes, PIECE_BYTES))
            for first in range(0, len(rows), step):
                yield rows[first : first + step]


def _header(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    entries, end = {}, 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        entries[name] = {"dtype": DTYPES[array.dtype.str], "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(round_up(len(text), 8))
    return len(text).to_bytes(8, "little") + text
