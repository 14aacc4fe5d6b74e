"""Data files with any bytes and any header give samples or a DataError."""

from __future__ import annotations

import functools
import gzip
import importlib
import importlib.util
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from helpers.fuzzing import INTEGERS, WILD, examples, mutate, mutations, only_dpnet_errors
from hypothesis import given
from hypothesis import strategies as st

from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.config.model import ModelConfig
from dpnet.conversion.convert import convert
from dpnet.data.converted.manifest import manifest_sum
from dpnet.data.proposal.propose import propose
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError
from dpnet.training.prepare import identify, open_data

X, Y = np.arange(24, dtype=np.uint8).reshape(4, 6), np.arange(4)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def check(folder, name, content, task="classification"):
    path = folder / name
    path.write_bytes(content)
    with only_dpnet_errors(DataError):
        open_split(str(path), task=task)
    with only_dpnet_errors(DataError):
        job = Job(data=DataConfig(source=str(path)), model=ModelConfig(task=task))
        identify(job.data, open_data(job, LocalGroup()), LocalGroup(), measure=False)
    with only_dpnet_errors(DataError):
        propose(str(path), {})


def check_table(folder, name, content, task="classification", target=-1):
    path = folder / name
    path.write_bytes(content)
    with only_dpnet_errors(DataError):
        section = DataConfig(source=str(path), target=target, missing="indicator", test=0.5, validation=0.5)
        job = Job(data=section, model=ModelConfig(task=task))
        identify(section, open_data(job, LocalGroup()), LocalGroup(), measure=False)
    with only_dpnet_errors(DataError):
        propose(str(path), {"model.task": task})


IDX = bytes([0, 0, 8, 2, 0, 0, 0, 4, 0, 0, 0, 6]) + X.tobytes()
NPZ = zipped({"x_train.npy": npy(X), "y_train.npy": npy(Y)})
FILES = {"a.npz": NPZ, "b.npz": zipped({"x.npy": npy(X)}, zipfile.ZIP_STORED), "a.npy": npy(X)}
FILES |= {"a-idx2-ubyte": IDX, "a-idx2-ubyte.gz": gzip.compress(IDX)}


@pytest.mark.parametrize("name", FILES)
@examples(100)
@given(st.binary(max_size=300))
def test_any_bytes(folder, name, content):
    check(folder, name, content)


@pytest.mark.parametrize("name", FILES)
@examples(120)
@given(mutations)
def test_mutated_files(folder, name, changes):
    check(folder, name, mutate(FILES[name], changes))


@examples(100)
@given(mutations, mutations, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
def test_mutated_members_of_a_whole_zip(folder, inputs, labels, method):
    members = {"x_train.npy": mutate(npy(X), inputs), "y_train.npy": mutate(npy(Y), labels)}
    check(folder, "c.npz", zipped(members, method))


@examples(100)
@given(mutations)
def test_mutated_idx_in_a_whole_gzip(folder, changes):
    check(folder, "c-idx2-ubyte.gz", gzip.compress(mutate(IDX, changes)))


@examples(120)
@given(
    place=st.sampled_from([b"PK\1\2", b"PK\3\4", b"PK\5\6"]),
    offset=st.integers(4, 45),
    number=INTEGERS,
    width=st.sampled_from("BHI"),
)
def test_wild_fields_of_a_zip(folder, place, offset, number, width):
    content, at = bytearray(NPZ), NPZ.index(place) + offset
    size = struct.calcsize(width)
    content[at : at + size] = struct.pack(f"<{width}", number % 2 ** (8 * size))
    check(folder, "d.npz", bytes(content))


@examples(120)
@given(
    magic=st.sampled_from([b"\0\0"]) | st.binary(min_size=2, max_size=2),
    code=st.sampled_from([8, 9, 11, 12, 13, 14]) | st.integers(0, 255),
    dims=st.lists(st.integers(0, 3) | INTEGERS, max_size=70),
    data=st.binary(max_size=40),
    compressed=st.booleans(),
)
def test_any_header_of_idx(folder, magic, code, dims, data, compressed):
    content = magic + bytes([code, len(dims)]) + b"".join(struct.pack(">I", size % 2**32) for size in dims) + data
    check(folder, *(("e-idx2-x.gz", gzip.compress(content)) if compressed else ("e-idx2-x", content)))


SIZES = st.integers(0, 5) | INTEGERS | st.integers(-(2**70), 2**70)
DESCRS = st.sampled_from(
    ["<f4", "|u1", ">i8", "<U0", "|S0", "<U2147483647", "|V0", "|O", "<M8[ns]", "<f2", "<g", "<c8"]
)
HEADERS = st.fixed_dictionaries(
    {"descr": DESCRS | st.text(max_size=4), "fortran_order": st.booleans(), "shape": st.lists(SIZES, max_size=4)}
).map(lambda header: repr({**header, "shape": tuple(header["shape"])}))
DEEP = st.sampled_from(["-" * 9000 + "1", "(" * 150 + ")" * 150, "[" * 9000, "{" * 4000, "1" * 9000, "1j", "9" * 4300])


@examples(100)
@given(
    text=HEADERS | DEEP | st.text(max_size=60),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (1, 1), (0, 0)]),
    length=st.none() | INTEGERS,
    data=st.binary(max_size=48),
)
def test_any_header_of_npy(folder, text, version, length, data):
    header = text.encode() + b"\n"
    number = len(header) if length is None else length
    packed = struct.pack("<H", number % 2**16) if version[0] == 1 else struct.pack("<I", number % 2**32)
    content = b"\x93NUMPY" + bytes(version) + packed + header + data
    check(folder, "f.npy", content)
    check(folder, "f.npz", zipped({"x.npy": content}))
    check(folder, "g.npz", zipped({"x_train.npy": npy(X), "y_train.npy": content}))


pyarrow = pytest.importorskip("pyarrow")
TABLE = pyarrow.table({"a": [1, 2, None, 4], "t": ["x", "y", "x", None], "kind": ["u", "v", "u", "v"]})


def written(write):
    stream = io.BytesIO()
    write(TABLE, stream)
    return stream.getvalue()


TABLES = {
    "t.csv": written(importlib.import_module("pyarrow.csv").write_csv),
    "t.parquet": written(importlib.import_module("pyarrow.parquet").write_table),
    "t.feather": written(importlib.import_module("pyarrow.feather").write_feather),
}
TABLES |= {"t.csv.gz": gzip.compress(TABLES["t.csv"])}


@pytest.mark.parametrize("name", TABLES)
@examples(60)
@given(st.binary(max_size=300))
def test_any_bytes_in_place_of_a_table(folder, name, content):
    check_table(folder, name, content)


@pytest.mark.parametrize("name", TABLES)
@examples(100)
@given(mutations)
def test_mutated_tables(folder, name, changes):
    check_table(folder, name, mutate(TABLES[name], changes))


@examples(60)
@given(
    st.lists(
        st.lists(st.sampled_from(["", "1", "-2.5", "x", "?", "nan", "inf", '"', "true", "2020-01-01"]), max_size=4)
    )
)
def test_any_cells(folder, rows):
    content = "\n".join(",".join(row) for row in rows).encode()
    check_table(folder, "c.csv", content)
    for task in ("multilabel", "regression"):
        check_table(folder, "c.csv", content, task, (-1, 0))


svmlight = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")
SVM = b"-1 1:0.5 4:2 # one\n+1 qid:3 2:1e-3 3:-0.25\n\n# none\n+1 1:7\n"


@svmlight
@pytest.mark.parametrize("name", ["s.svm", "s.svm.gz", "s"])
@examples(100)
@given(st.binary(max_size=300))
def test_any_bytes_in_place_of_svmlight_text(folder, name, content):
    check(folder, name, content)


@svmlight
@examples(200)
@given(mutations, st.booleans())
def test_mutated_svmlight_text(folder, changes, packed):
    content = mutate(gzip.compress(SVM) if packed else SVM, changes)
    check(folder, "s.svm.gz" if packed else "s.svm", content)


WORDS = [
    "1",
    "-1",
    "+1",
    "0.5",
    "nan",
    "1e400",
    "1,2",
    "3,1,nan",
    ":",
    "0:1",
    "1:1",
    "2:-3e5",
    "3:inf",
    "7:",
    "1:1:1",
    "qid:1",
    "#",
]
WORDS += ["2147483648:1", "-1:1", "x:1", "9" * 5000 + ":1", "1_0:1", "\0", "\r", "\ufeff"]


@svmlight
@examples(200)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=5), max_size=5))
def test_any_words_of_svmlight_text(folder, lines):
    for task in ("classification", "multilabel"):
        check(folder, "w.svm", "\n".join(" ".join(line) for line in lines).encode(), task)


h5py = importlib.import_module("h5py") if importlib.util.find_spec("h5py") else None


def hdf5(kind):
    """A small file: arrays in one piece, or in compressed chunks, or labels of text and links."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest" if kind == "latest" else None) as file:
        chunks = {"chunks": (2, 3), "compression": "gzip", "shuffle": True} if kind in ("chunks", "latest") else {}
        file.create_dataset("x_train", data=X, **chunks)
        file["y_train"] = [f"c{label}" for label in Y] if kind == "text" else Y
        file["sim/other"] = h5py.SoftLink("/x_train") if kind == "text" else X
    return stream.getvalue()


@pytest.mark.skipif(h5py is None, reason="h5py is not installed")
@pytest.mark.parametrize("kind", ["pieces", "chunks", "latest", "text"])
@examples(4)
@given(mutations)
def test_mutated_hdf5(folder, kind, changes):
    # Each example starts processes, which may crash: by day there are few.
    check(folder, f"{kind}.h5", mutate(hdf5(kind), changes))


@examples(60)
@given(mutations)
def test_a_mutated_file_of_a_folder(folder, changes):
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts/part-0.parquet").write_bytes(TABLES["t.parquet"])
    check_table(folder, "parts/part-1.parquet", mutate(TABLES["t.parquet"], changes))
    with only_dpnet_errors(DataError):
        open_source(str(folder / "parts"), DataConfig(target="kind", missing="indicator", test=0.5))


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
