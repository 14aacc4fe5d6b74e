from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """The bytes of an IDX file, written out from the format's description."""
    big = array.astype(array.dtype.newbyteorder(">"))
    header = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim])
    return header + b"".join(size.to_bytes(4, "big") for size in array.shape) + big.tobytes()


@pytest.fixture
def to_idx() -> Callable[[np.ndarray[Any, Any]], bytes]:
    return idx_bytes


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """A folder like that of MNIST: 3 training and 2 test images of 2 x 2 pixels, the test files compressed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    images, labels = np.arange(20, dtype=np.uint8).reshape(5, 2, 2), np.array([0, 1, 2, 2, 1], dtype=np.uint8)
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(images[:3]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:3]))
    (folder / "t10k-images.idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images[3:])))
    (folder / "t10k-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels[3:])))
    return folder
