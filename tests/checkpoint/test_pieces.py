"""A file of tensors, written in pieces, is what the safetensors library writes."""

import numpy as np
import pytest
from safetensors.numpy import load, save

from dpnet.checkpoint.pieces import PIECE_BYTES, pieces

WIDE = np.arange(3 * 400_000, dtype=np.float32).reshape(3, 400_000)  # Each row is more than a piece.
TENSORS = {
    "none": {},
    "small": {"2.bias": np.ones(2, np.float32), "0.weight": np.eye(3, dtype=np.float32), "0.factor": np.ones(3)},
    "large": {"0.weight": WIDE.T, "2.weight": WIDE, "offset": np.arange(300_000, dtype=np.float64)},
    "empty": {"0.weight": np.zeros((0, 4), np.float32), "0.bias": np.ones(1, np.float32), "scale": np.float64(3)},
    "big endian": {"0.weight": np.arange(6, dtype=">f4").reshape(2, 3)},
}


@pytest.mark.parametrize("name", TENSORS)
def test_the_library_reads_what_was_written(name):
    expected = {key: np.asarray(array) for key, array in TENSORS[name].items()}
    data = b"".join(np.ascontiguousarray(piece).tobytes() for piece in pieces(expected))
    found = load(data)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].shape == array.shape
        assert found[key].tobytes() == array.astype(found[key].dtype).tobytes()
    if name != "big endian":
        assert data == save({key: np.ascontiguousarray(array).reshape(array.shape) for key, array in expected.items()})


def test_no_piece_is_large():
    tensor = {"0.weight": np.zeros((5000, 300), np.float32).T}
    assert max(piece.nbytes for piece in pieces(tensor)) <= PIECE_BYTES + 4 * 5000
