"""Folders of converted data with any bytes and any manifest give samples or a DataError."""

from __future__ import annotations

import functools
import hashlib
import io
import json

import numpy as np
import pytest
from helpers.fuzzing import WILD, examples, mutate, mutations, only_dpnet_errors
from helpers.jobs import make_job
from helpers.small_sources import HAS_TABLES, X, Y
from hypothesis import given
from hypothesis import strategies as st

import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.conversion.convert import convert
from dpnet.conversion.info import info_of
from dpnet.data.converted.manifest import manifest_sum
from dpnet.data.converted.reader import array_sum
from dpnet.data.sources import open_split
from dpnet.data.statistics import chunks
from dpnet.errors import DataError, DpnetError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict
from dpnet.training.prepare import identify, open_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@functools.cache
def converted(path):
    """The files of a small folder of converted data."""
    np.savez(path.with_suffix(".npz"), x_train=X, y_train=Y % 2, x_test=X[:2], y_test=Y[:2] % 2, w_train=Y + 1)
    convert(Job(data=DataConfig(source=str(path.with_suffix(".npz")))), str(path), LocalGroup())
    return {file.name: file.read_bytes() for file in path.iterdir()}


def check_converted(path, name, content):
    """Look at a folder of converted data in which one file has another content."""
    for file, whole in converted(path).items():
        (path / file).write_bytes(content if file == name else whole)
    for split in ("train", "test"):
        with only_dpnet_errors(DataError):
            open_split(str(path), split)
    with only_dpnet_errors(DataError):
        section = DataConfig(source=str(path))
        identify(section, open_data(Job(data=section), LocalGroup()), LocalGroup(), measure=False)


@pytest.mark.parametrize("name", ["manifest.json", "train-inputs.npy", "train-labels.npy", "train-weights.npy"])
@examples(60)
@given(mutations)
def test_a_mutated_file_of_converted_data(folder, name, changes):
    path = folder / "converted"
    check_converted(path, name, mutate(converted(path)[name], changes))


def places(value, path=()):
    """Where something stands in a value of JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@examples(200)
@given(st.data(), WILD)
def test_a_manifest_of_another_program(folder, data, wild):
    path = folder / "converted"
    manifest = json.loads(converted(path)["manifest.json"])
    del manifest["manifest_sha256"]
    *place, last = data.draw(st.sampled_from(places(manifest)[1:]))
    target = manifest
    for key in place:
        target = target[key]
    target[last] = wild
    check_converted(path, "manifest.json", json.dumps({**manifest, "manifest_sha256": manifest_sum(manifest)}).encode())


@functools.cache
def converted_table(path):
    """The files of a small folder of converted data that were a table with names and weights of its rows."""
    lines = ["name,size,kind,weight", *(f"n{row},{row / 2},{'uv'[row % 2]},{row + 1}" for row in range(6))]
    path.with_suffix(".csv").write_text("\n".join(lines))
    section = DataConfig(source=str(path.with_suffix(".csv")), target="kind", id="name", weight="weight", test=0.4)
    convert(Job(data=section), str(path), LocalGroup())
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.fixture(scope="module")
def network(folder):
    """A network that was trained on the folder."""
    converted_table(folder / "table")
    settings = {"train.epochs": None, "train.steps": 1, "train.global_batch_size": 2, "model.hidden_layers": [2]}
    dpnet.train(make_job(folder / "run", {**settings, "data.source": str(folder / "table")}), LocalGroup())
    return load_network(str(folder / "run"), LocalGroup())


def check_table(network, path, files):
    """Do all that is done with a folder of converted data in which some files have another content."""
    for file, whole in {**converted_table(path), **files}.items():
        (path / file).write_bytes(whole)
    section = DataConfig(source=str(path))
    with only_dpnet_errors(DataError):
        identify(section, open_data(Job(data=section), LocalGroup()), LocalGroup(), measure=False)
    with only_dpnet_errors(DpnetError):
        evaluate(network, str(path), LocalGroup(), split="train")
    with only_dpnet_errors(DpnetError):
        predict(network, str(path), path.parent / "p.csv", LocalGroup(), split="train")
    with only_dpnet_errors(DataError):
        info_of(Job(data=section), {}, LocalGroup())
    with only_dpnet_errors(DpnetError):
        convert(Job(data=section), str(path), LocalGroup())


tables = pytest.mark.skipif(not HAS_TABLES, reason="pyarrow is not installed")
SMALL = [f"train-{kind}.npy" for kind in ("labels", "weights", "ids", "statistics")]


@tables
@pytest.mark.parametrize("name", SMALL)
@examples(15)
@given(mutations)
def test_a_mutated_file_of_a_converted_table(network, folder, name, changes):
    path = folder / "table"
    check_table(network, path, {name: mutate(converted_table(path)[name], changes)})


VALUES = st.sampled_from([0, 1, -1, 2**40, 0.5, np.nan, np.inf, -np.inf, "", "n", "\0", "\x1b[2J", "a,b\n"])
DTYPES = st.sampled_from(["<i8", "<f8", ">f8", "|b1", "<U4", "|S3", "<f4", "|u1", "<M8[s]"])


@tables
@pytest.mark.parametrize("kind", ["inputs", "labels", "weights", "ids", "statistics"])
@examples(20)
@given(
    st.none() | DTYPES,
    st.sampled_from([None, (3, 1), (4,), (3,), (3, 2), (4, 1), (0,), ()]),
    st.lists(VALUES, min_size=1),
)
def test_any_array_that_the_manifest_tells_of(network, folder, kind, dtype, shape, values):
    """The file, its type, its shape and its sha256 in the manifest are those of another array."""
    path = folder / "table"
    files = converted_table(path)
    before = np.load(io.BytesIO(files[f"train-{kind}.npy"]))
    shape = before.shape if shape is None else shape
    try:
        array = np.resize(np.array(values, before.dtype if dtype is None else dtype), shape)
    except (ValueError, OverflowError):
        array = np.zeros(shape, before.dtype)
    stream = io.BytesIO()
    np.save(stream, array)
    manifest = json.loads(files["manifest.json"])
    del manifest["manifest_sha256"]
    of_array = manifest["splits"]["train"]["arrays"][kind]
    of_array |= {"dtype": array.dtype.str, "shape": list(array.shape)}
    if kind == "inputs":
        parts = [array[start:stop] for start, stop in chunks(len(array))] if array.ndim else []
        of_array["sha256"] = [hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in parts]
    elif array.ndim:
        of_array["sha256"] = [array_sum(array)]
    text = json.dumps({**manifest, "manifest_sha256": manifest_sum(manifest)})
    check_table(network, path, {f"train-{kind}.npy": stream.getvalue(), "manifest.json": text.encode()})


@tables
@examples(60)
@given(st.data(), WILD)
def test_a_wild_value_in_the_manifest_of_a_table(network, folder, data, wild):
    path = folder / "table"
    manifest = json.loads(converted_table(path)["manifest.json"])
    del manifest["manifest_sha256"]
    *place, last = data.draw(st.sampled_from(places(manifest)[1:]))
    target = manifest
    for key in place:
        target = target[key]
    target[last] = wild
    text = json.dumps({**manifest, "manifest_sha256": manifest_sum(manifest)})
    check_table(network, path, {"manifest.json": text.encode()})
