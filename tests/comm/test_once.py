"""Data of every kind can be packed: what one rank of a node has read, the others have too, its messages included."""

import pickle

import numpy as np
import pytest
from helpers import small_sources as small

from dpnet.comm.once import _packed
from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)


LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 4]) + small.Y.astype(np.uint8).tobytes()
SOURCES = {
    "digits": (None, {}, {}),
    "x.npz": ("x.npz", {"x.npz": small.NPZ}, {}),
    "weights": ("x.npz", {"x.npz": small.STORED}, {}),
    "folder of .npy": ("", {"x_train.npy": small.npy(small.X), "y_train.npy": small.npy(small.Y)}, {}),
    "folder of IDX": ("", {"train-images-idx2-ubyte": small.IDX, "train-labels-idx1-ubyte": LABELS}, {}),
}
if small.HAS_SVMLIGHT:
    SOURCES["x.svm"] = "x.svm", {"x.svm": small.SVM}, {}
    SOURCES["sets of x.svm"] = "x.svm", {"x.svm": small.SVM_SETS}, {"task": "multilabel"}
if small.HAS_HDF5:
    SOURCES["x.h5"] = "x.h5", {"x.h5": small.hdf5("chunks")}, {}
for name in small.TABLES:
    SOURCES[name] = name, {name: small.TABLES[name]}, {"target": "kind", "missing": "indicator"}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_is_the_same_once_it_was_packed(tmp_path, kind):
    source, files, keys = SOURCES[kind]
    write(tmp_path, files)
    task = keys.pop("task", "classification")
    name = "digits" if source is None else str(tmp_path / source)
    opened = open_source(name, DataConfig(source=name, **keys), task=task)
    pickled, *arrays = _packed(opened)
    found = pickle.loads(pickled, buffers=arrays)
    assert found.splits.keys() == opened.splits.keys()
    assert found.schema == opened.schema
    for part, split in opened.splits.items():
        other = found.splits[part]
        assert np.array_equal(other.block(0, len(other)), split.block(0, len(split)))
        assert other.inputs.dtype == split.inputs.dtype
        assert np.array_equal(other.labels, split.labels)
        assert other.classes == split.classes
        assert other.label_place(1) == split.label_place(1)
        assert other.remarks == split.remarks
        assert (other.weights is None) == (split.weights is None)
