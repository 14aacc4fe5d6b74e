"""Damaged files that a network, which was trained on healthy ones, is to score or predict."""

from __future__ import annotations

import gzip

import pytest
from helpers.fuzzing import examples, mutate, mutations, only_dpnet_errors
from helpers.jobs import make_job
from helpers.small_sources import (
    HAS_HDF5,
    HAS_SVMLIGHT,
    HAS_TABLES,
    IDX,
    NPZ,
    PACKED,
    SVM,
    TABLES,
    X,
    Y,
    hdf5,
    npy,
    zipped,
)
from hypothesis import given
from hypothesis import strategies as st

import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.errors import DpnetError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict

GROUP = LocalGroup()
SOURCES = {"a.npz": NPZ, "b.npz": zipped({"x.npy": npy(X)}), "x.npy": npy(X), "a-idx2-ubyte": IDX}
SOURCES |= {"a-idx2-ubyte.gz": gzip.compress(IDX)}
OUT = st.sampled_from(["p.csv", "p.npy", None])
svmlight = pytest.mark.skipif(not HAS_SVMLIGHT, reason="scikit-learn is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inference")


def network_of(folder, name, content, **data):
    (folder / name).write_bytes(content)
    settings = {"train.epochs": None, "train.steps": 1, "train.global_batch_size": 2, "model.hidden_layers": [3]}
    settings |= {"data.source": str(folder / name), **{f"data.{key}": value for key, value in data.items()}}
    dpnet.train(make_job(folder / f"run-{name}", settings), GROUP)
    return load_network(str(folder / f"run-{name}"), GROUP)


@pytest.fixture(scope="module")
def of_arrays(folder):
    return network_of(folder, "train.npz", NPZ)


@pytest.fixture(scope="module")
def of_svmlight(folder):
    return network_of(folder, "train.svm", SVM)


@pytest.fixture(scope="module")
def of_table(folder):
    return network_of(folder, "train.csv", TABLES["t.csv"], target="kind", missing="indicator")


def check(network, path, out, split="test"):
    """Do all that is done with samples of a trained network."""
    for details in (False, True):
        with only_dpnet_errors(DpnetError):
            evaluate(network, str(path), GROUP, split=split, details=details, unknown_labels="ignore")
    with only_dpnet_errors(DpnetError):
        predict(network, str(path), None if out is None else path.parent / out, GROUP, split=split, nonfinite="skip")


def check_bytes(network, folder, name, content, out, split="test"):
    (folder / name).write_bytes(content)
    check(network, folder / name, out, split)


@pytest.mark.parametrize("name", SOURCES)
@examples(15)
@given(mutations, OUT, st.sampled_from(["train", "test"]))
def test_mutated_arrays(of_arrays, folder, name, changes, out, split):
    check_bytes(of_arrays, folder, name, mutate(SOURCES[name], changes), out, split)


@examples(15)
@given(mutations, mutations, OUT)
def test_a_zip_of_mutated_members(of_arrays, folder, inputs, labels, out):
    members = {"x.npy": mutate(npy(X), inputs), "y.npy": mutate(npy(Y), labels)}
    check_bytes(of_arrays, folder, "c.npz", zipped(members), out)


@svmlight
@examples(40)
@given(mutations, st.sampled_from(list(PACKED)), OUT)
def test_mutated_svmlight_text(of_svmlight, folder, changes, ending, out):
    check_bytes(of_svmlight, folder, f"s.svm{ending}", mutate(PACKED[ending](SVM), changes), out)
    check_bytes(of_svmlight, folder, f"s.svm{ending}", PACKED[ending](mutate(SVM, changes)), out)


@svmlight
@examples(30)
@given(mutations, OUT)
def test_mutated_svmlight_text_for_a_network_of_arrays(of_arrays, folder, changes, out):
    check_bytes(of_arrays, folder, "n.svm", mutate(SVM, changes), out)


@pytest.mark.parametrize("name", TABLES)
@examples(8)
@given(mutations, OUT)
def test_mutated_tables(of_table, folder, name, changes, out):
    check_bytes(of_table, folder, name, mutate(TABLES[name], changes), out)


@pytest.mark.skipif(not HAS_TABLES, reason="pyarrow is not installed")
@examples(8)
@given(mutations, OUT)
def test_a_mutated_file_of_a_folder_of_parquet(of_table, folder, changes, out):
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts/part-0.parquet").write_bytes(TABLES["t.parquet"])
    (folder / "parts/part-1.parquet").write_bytes(mutate(TABLES["t.parquet"], changes))
    check(of_table, folder / "parts", out)


@pytest.mark.skipif(not HAS_HDF5, reason="h5py is not installed")
@pytest.mark.parametrize("kind", ["chunks", "text"])
@examples(1)
@given(mutations, OUT)
def test_mutated_hdf5(of_arrays, folder, kind, changes, out):
    check_bytes(of_arrays, folder, f"{kind}.h5", mutate(hdf5(kind), changes), out, "train")


def test_whole_files_are_scored_and_predicted(request, folder):
    """Those that the other tests damage."""
    cases = [("of_arrays", "a.npz", NPZ, "train")]
    cases += [("of_svmlight", "s.svm", SVM, "test")] if HAS_SVMLIGHT else []
    cases += [("of_table", name, content, "test") for name, content in TABLES.items()]
    for fixture, name, content, split in cases:
        (folder / name).write_bytes(content)
        network = request.getfixturevalue(fixture)
        found = evaluate(network, str(folder / name), GROUP, split=split)
        predicted = predict(network, str(folder / name), None, GROUP, split=split)
        assert found.samples == len(predicted.labels) == 4 - (fixture == "of_svmlight")
