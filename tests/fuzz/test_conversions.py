"""Damaged sources that are converted or looked at: what is converted is what a training would read, or nothing is."""

from __future__ import annotations

import gzip
import shutil
import zipfile

import numpy as np
import pytest
from helpers.fuzzing import examples, mutate, mutations, only_dpnet_errors
from helpers.small_sources import (
    HAS_HDF5,
    HAS_SVMLIGHT,
    HAS_TABLES,
    IDX,
    NPZ,
    PACKED,
    STORED,
    SVM,
    SVM_SETS,
    TABLES,
    X,
    Y,
    hdf5,
    npy,
    zipped,
)
from hypothesis import given
from hypothesis import strategies as st

from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.config.model import ModelConfig
from dpnet.conversion.convert import convert
from dpnet.conversion.info import info_of
from dpnet.data import in_parts
from dpnet.data.readers import svmlight_rows
from dpnet.errors import DataError
from dpnet.training.prepare import identify, open_data

GROUP = LocalGroup()
tables = pytest.mark.skipif(not HAS_TABLES, reason="pyarrow is not installed")
svmlight = pytest.mark.skipif(not HAS_SVMLIGHT, reason="scikit-learn is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for files; what is read in parts is read in many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_parts, "PART_BYTES", 10)
        patch.setattr(svmlight_rows, "BLOCK_BYTES", 10)
        yield tmp_path_factory.mktemp("sources")


def identity_of(job):
    """The identity of the data of a job; None: they are refused."""
    with only_dpnet_errors(DataError):
        return identify(job.data, open_data(job, GROUP), GROUP, measure=True).identity


def check(folder, source, task="classification", **keys):
    """Convert a source and look at it. What was converted must be what a training would read."""
    job = Job(data=DataConfig(source=str(folder / source), **keys), model=ModelConfig(task=task))
    dest = folder / "converted"
    shutil.rmtree(dest, ignore_errors=True)
    with only_dpnet_errors(DataError):
        convert(job, str(dest), GROUP)
    expected = identity_of(job)
    assert (dest / "manifest.json").exists() == (expected is not None)
    if expected is not None:
        assert identity_of(Job(data=DataConfig(source=str(dest)), model=job.model)) == expected
    with only_dpnet_errors(DataError):
        info_of(job, {}, GROUP)


def check_bytes(folder, name, content, task="classification", **keys):
    (folder / name).write_bytes(content)
    check(folder, name, task, **keys)


ARRAYS = {"a.npz": NPZ, "stored.npz": STORED}
SHARES = st.sampled_from([{}, {"test": 0.5}])


@pytest.mark.parametrize("name", ARRAYS)
@examples(50)
@given(mutations, SHARES)
def test_a_mutated_npz(folder, name, changes, keys):
    check_bytes(folder, name, mutate(ARRAYS[name], changes), "regression", **keys)


@examples(50)
@given(mutations, mutations, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), SHARES)
def test_mutated_members_of_a_whole_zip(folder, inputs, labels, method, keys):
    members = {"x_train.npy": mutate(npy(X), inputs), "y_train.npy": mutate(npy(Y), labels)}
    check_bytes(folder, "c.npz", zipped(members, method), "regression", **keys)


@examples(50)
@given(st.sampled_from(["x_train.npy", "y_train.npy"]), mutations)
def test_a_mutated_file_of_a_folder_of_npy(folder, name, changes):
    (folder / "npy").mkdir(exist_ok=True)
    for file, array in (("x_train.npy", X), ("y_train.npy", Y)):
        (folder / "npy" / file).write_bytes(mutate(npy(array), changes) if file == name else npy(array))
    check(folder, "npy", "regression")


@examples(30)
@given(mutations, st.booleans())
def test_mutated_idx(folder, changes, packed):
    (folder / "idx").mkdir(exist_ok=True)
    (folder / "idx/train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1]))
    for path in (folder / "idx").glob("train-images*"):
        path.unlink()
    name = f"idx/train-images-idx2-ubyte{'.gz' * packed}"
    check_bytes(folder, name, mutate(gzip.compress(IDX) if packed else IDX, changes))
    check(folder, "idx")


@svmlight
@pytest.mark.parametrize("ending", PACKED)
@examples(40)
@given(mutations, st.sampled_from(["classification", "regression", "multilabel"]), SHARES)
def test_mutated_svmlight_text(folder, ending, changes, task, keys):
    text = SVM_SETS if task == "multilabel" else SVM
    check_bytes(folder, f"a.svm{ending}", mutate(PACKED[ending](text), changes), task, **keys)
    check_bytes(folder, f"b.svm{ending}", PACKED[ending](mutate(text, changes)), task, **keys)


@pytest.mark.skipif(not HAS_HDF5, reason="h5py is not installed")
@pytest.mark.parametrize("kind", ["pieces", "chunks"])
@examples(1)
@given(mutations)
def test_mutated_hdf5(folder, kind, changes):
    # Each example starts processes, which may crash: by day there is one.
    check_bytes(folder, f"{kind}.h5", mutate(hdf5(kind), changes), "regression")


@pytest.mark.parametrize("name", TABLES)
@examples(12)
@given(mutations, st.sampled_from(["error", "indicator", "mean"]), SHARES)
def test_mutated_tables(folder, name, changes, missing, keys):
    check_bytes(folder, name, mutate(TABLES[name], changes), missing=missing, target=-1, **keys)


@tables
@examples(12)
@given(mutations)
def test_a_mutated_file_of_a_folder_of_parquet(folder, changes):
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts/part-0.parquet").write_bytes(TABLES["t.parquet"])
    (folder / "parts/part-1.parquet").write_bytes(mutate(TABLES["t.parquet"], changes))
    check(folder, "parts", missing="mean", target="kind")


def test_whole_sources_are_converted(folder):
    """Those that the other tests damage."""
    sources = {**ARRAYS, **({"a.svm": SVM, "m.svm": SVM_SETS} if HAS_SVMLIGHT else {}), **TABLES}
    for name, content in sources.items():
        keys = {"missing": "mean", "target": -1} if name in TABLES else {}
        task = "multilabel" if name == "m.svm" else "classification"
        check_bytes(folder, name, content, task, **keys)
        assert (folder / "converted/manifest.json").exists(), name
    assert np.load(folder / "converted/train-inputs.npy").shape[0] == 4
