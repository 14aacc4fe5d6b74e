"""Data files with any bytes and any header give samples or a DataError."""

from __future__ import annotations

import gzip
import struct
import zipfile

import pytest
from helpers.fuzzing import INTEGERS, examples, mutate, mutations, only_dpnet_errors
from helpers.small_sources import (
    HAS_HDF5,
    HAS_SVMLIGHT,
    HAS_TABLES,
    IDX,
    NPZ,
    PACKED,
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
from dpnet.data.proposal.propose import propose
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError
from dpnet.training.prepare import identify, open_data


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


tables = pytest.mark.skipif(not HAS_TABLES, reason="pyarrow is not installed")


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


@tables
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


svmlight = pytest.mark.skipif(not HAS_SVMLIGHT, reason="scikit-learn is not installed")


@svmlight
@pytest.mark.parametrize("name", ["s.svm", "s.svm.gz", "s"])
@examples(100)
@given(st.binary(max_size=300))
def test_any_bytes_in_place_of_svmlight_text(folder, name, content):
    check(folder, name, content)


@svmlight
@examples(200)
@given(mutations, st.sampled_from(list(PACKED)), st.sampled_from(["classification", "multilabel"]))
def test_mutated_svmlight_text(folder, changes, ending, task):
    text = SVM_SETS if task == "multilabel" else SVM
    check(folder, f"s.svm{ending}", mutate(PACKED[ending](text), changes), task)
    check(folder, f"s.svm{ending}", PACKED[ending](mutate(text, changes)), task)


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


@pytest.mark.skipif(not HAS_HDF5, reason="h5py is not installed")
@pytest.mark.parametrize("kind", ["pieces", "chunks", "latest", "text"])
@examples(4)
@given(mutations)
def test_mutated_hdf5(folder, kind, changes):
    # Each example starts processes, which may crash: by day there are few.
    check(folder, f"{kind}.h5", mutate(hdf5(kind), changes))


@tables
@examples(60)
@given(mutations)
def test_a_mutated_file_of_a_folder(folder, changes):
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts/part-0.parquet").write_bytes(TABLES["t.parquet"])
    check_table(folder, "parts/part-1.parquet", mutate(TABLES["t.parquet"], changes))
    with only_dpnet_errors(DataError):
        open_source(str(folder / "parts"), DataConfig(target="kind", missing="indicator", test=0.5))
