"""HDF5 files: what is mapped, what is read, what is refused, and that no file harms the process that reads it."""

import os

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.arrays import open_keyed
from dpnet.data.readers import hdf5_file, hdf5_process
from dpnet.data.readers.hdf5 import BareHdf5, Hdf5, named_in
from dpnet.data.readers.hdf5_file import find_sets, list_sets, read_arrays
from dpnet.data.readers.hdf5_process import answer
from dpnet.errors import ConfigError, DataError

h5py = pytest.importorskip("h5py")

X = np.arange(240.0).reshape(20, 12)
Y = np.arange(20) % 3


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file with a data set of every kind, and links of every kind."""
    path = tmp_path_factory.mktemp("h5") / "all.h5"
    with h5py.File(tmp_path_factory.mktemp("other") / "other.h5", "w") as other:
        other["x"] = X
    with h5py.File(path, "w", userblock_size=1024) as made:
        made["x"], made["f2"], made["f4"], made["big"] = X, X.astype("f2"), X.astype("f4"), X.astype(">f8")
        made["pixels"], made["signed"] = X.astype("u1"), X.astype(">i4")
        made.create_dataset("gzip", data=X, chunks=(7, 5), compression="gzip", shuffle=True, fletcher32=True)
        made.create_dataset("lzf", data=X, chunks=(6, 12), compression="lzf", maxshape=(None, 12))
        made.create_dataset("chunks", data=X, chunks=(3, 12), maxshape=(None, 12))
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        kind, space = h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple(X.shape)
        h5py.h5d.create(made.id, b"compact", kind, space, compact).write(h5py.h5s.ALL, h5py.h5s.ALL, X)
        short = h5py.h5t.STD_U16LE.copy()
        short.set_precision(12)
        h5py.h5d.create(made.id, b"short", short, space).write(h5py.h5s.ALL, h5py.h5s.ALL, X.astype("u2"))
        brain = h5py.h5t.IEEE_F32LE.copy()  # Of 16 bits, as bfloat16.
        brain.set_fields(15, 7, 8, 0, 7)
        brain.set_size(2)
        brain.set_ebias(127)
        h5py.h5d.create(made.id, b"brain", brain, space).write(h5py.h5s.ALL, h5py.h5s.ALL, X)
        made["text"], made["fixed"] = [f"é{n}" for n in Y], np.array([f"c{n}" for n in Y], "S4")
        made["flags"], made["enum"] = Y > 0, np.asarray(Y, h5py.enum_dtype({"A": 0, "B": 1, "C": 2}, "i2"))
        made["none"], made["scalar"] = np.zeros((0, 3)), 3
        made["sim/run/images"], made["sim/run/labels"] = X, Y
        made["soft"], made["sim/up"] = h5py.SoftLink("/sim/run/images"), h5py.SoftLink("run")
        made["loop"], made["dangling"] = h5py.SoftLink("/loop"), h5py.SoftLink("/nowhere")
        made["outside"] = h5py.ExternalLink("../other/other.h5", "/x")
        made["sim/out"] = h5py.ExternalLink("/etc/hostname", "/")
        made.create_dataset("stored elsewhere", (4,), "u1", external=[("/etc/hostname", 0, 4)])
        layout = h5py.VirtualLayout(X.shape, "f8")
        layout[:] = h5py.VirtualSource("../other/other.h5", "x", X.shape)
        made.create_virtual_dataset("virtual", layout)
        made["records"], made["complex"] = np.zeros(3, [("a", "i4"), ("b", "f8")]), np.zeros(3, complex)
        made["references"] = np.array([made["x"].ref], h5py.ref_dtype)
        made.create_dataset("lists", (2,), h5py.vlen_dtype("i4"))
        made["opaque"], made["type"], made["null"] = np.zeros(2, "V3"), np.dtype("f8"), h5py.Empty("f4")
        made.create_dataset("unwritten", (1000, 1000), "f8")
        made.create_dataset("few written", (10_000, 1000), "f8", chunks=(10, 1000))[0] = 1
        made.create_dataset("endless", (10**9, 10**6), "f8", chunks=(10, 10))
        made["long"], made["zero"], made["square"] = ["a" * 5000], np.array([b"a\0b"]), [["a"]]
    return str(path)


def one(file, name):
    return read_arrays(file, [name])[0]


def test_plain_numbers_in_one_piece_are_mapped(file):
    names = ["x", "f2", "f4", "big", "signed", "pixels", "/sim/run/images", "soft", "sim/up/images"]
    for name, found in zip(names, read_arrays(file, names), strict=True):
        assert isinstance(found, np.memmap), name
        assert not found.flags.writeable
        assert found.flags.aligned
        assert np.array_equal(found, X)


def test_other_numbers_are_read(file):
    names = ["gzip", "lzf", "chunks", "compact", "short", "brain"]
    for name, found in zip(names, read_arrays(file, names), strict=True):
        assert not isinstance(found, np.memmap), name
        assert np.array_equal(found, X) if name != "brain" else np.allclose(found, X, rtol=2**-8)


def test_labels_of_every_kind(file):
    expected = {
        "text": [f"é{n}".encode() for n in Y],
        "fixed": [f"c{n}".encode() for n in Y],
        "flags": (Y > 0).tolist(),
        "enum": Y.tolist(),
        "scalar": 3,
        "none": [],
    }
    found = read_arrays(file, list(expected))
    assert [array.tolist() for array in found] == list(expected.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loop", r"\(loop\) is a chain of links without an end"),
        ("dangling", r"\(dangling\) is not there; .*all\.h5 holds big \(>f8, 20 x 12\), "),
        ("sim/run/x", r"\(sim/run/x\) is not there"),
        ("x/y", r"\(x/y\) is not there"),
        ("outside", r"\(outside\) leads to another file, '\.\./other/other\.h5': give that one"),
        ("sim/out/x", r"leads to another file, '/etc/hostname'"),
        ("stored elsewhere", "is made of other data sets or files"),
        ("virtual", "is made of other data sets or files"),
        ("records", r"holds records of a, b; expected numbers, booleans or text: save each column by itself"),
        ("complex", "holds elements of type complex128"),
        ("references", "holds references"),
        ("lists", "holds lists of different lengths"),
        ("opaque", r"holds elements of type \|V3"),
        ("type", r"\(type\) is a type without data; name a data set"),
        ("sim", r"\(sim\) is a group of out, run, up; name a data set"),
        ("null", "is empty: it holds no array"),
        ("unwritten", r"was written in part, 0 of 1 chunk, and the rest would be read as 0\.0: a program ended early"),
        ("few written", r"was written in part, 1 of 1,000 chunks, and the rest would be read as 0\.0"),
        ("endless", r"take 7,450,580\.6 GiB as numbers"),
        ("long", r"row 0 \(from 0\): the text has 5,000 bytes; expected a label"),
        ("zero", r"row 0 \(from 0\): the text has a zero byte"),
        ("square", r"holds text of shape \(1, 1\)"),
    ],
)
def test_what_is_no_array_of_this_file_is_refused_by_name(file, monkeypatch, name, message):
    monkeypatch.setattr(hdf5_process, "_limit", lambda num_bytes: None)  # This process has no such limits.
    with pytest.raises(DataError, match=message):
        answer(file, {"read": [name]})


def test_what_a_file_holds(file):
    sets = list_sets(file)
    assert (sets["sim/run/images"], sets["text"], sets["scalar"]) == ("float64, 20 x 12", "text, 20", "int64, one")
    assert not {"soft", "outside", "sim/out", "type"} & set(sets)
    assert find_sets(file, ["x", "nothing", "/sim/run/labels", "soft", "dangling"]) == {"x", "/sim/run/labels", "soft"}


def test_an_unknown_compression_is_named(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as made:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_chunk((5, 12))
        create.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        h5py.h5d.create(made.id, b"x", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((20, 12)), create)
    with pytest.raises(DataError, match=r"is compressed by .*\(32015\), which h5py cannot undo; h5repack -f GZIP=4"):
        one(str(tmp_path / "x.h5"), "x")


@pytest.fixture
def named(tmp_path):
    path = tmp_path / "d.h5"
    with h5py.File(path, "w") as made:
        made["x_train"], made["y_train"], made["w_train"] = X.reshape(20, 3, 4), Y, Y + 1.0
        made["x_test"] = X[:5]
    return str(path)


def test_data_sets_have_the_names_of_arrays_in_npz_files(named, tmp_path):
    assert Hdf5().fits(named)
    assert (Hdf5().has(named, "train"), Hdf5().has(named, "test"), BareHdf5().fits(named)) == (True, True, False)
    train, test = Hdf5().read(named, "train"), Hdf5().read(named, "test")
    assert (train.features, train.labels.tolist(), train.weights.tolist()) == (12, Y.tolist(), (Y + 1).tolist())
    assert (len(test), test.labels, test.labels_file) == (5, None, f"{named} (y_test)")
    with h5py.File(tmp_path / "b.hdf5", "w") as made:
        made["x"] = X
    assert BareHdf5().fits(str(tmp_path / "b.hdf5"))
    assert BareHdf5().read(str(tmp_path / "b.hdf5"), "test").labels is None


def test_a_file_of_other_names_says_how_they_are_named(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as made:
        made["sim/images"], made["sim/labels"] = X, Y
    with pytest.raises(
        DataError,
        match=r"no data set x_train; it holds sim/images: float64, 20 x 12; sim/labels: int64, 20\. Say which .*: "
        r'data\.features = \["sim/images"\], data\.target = "sim/labels"\.',
    ):
        Hdf5().read(str(tmp_path / "d.h5"), "train")


def test_a_file_that_changes_is_looked_at_again(tmp_path):
    path = str(tmp_path / "d.h5")
    for name in ("x", "x_train"):
        with h5py.File(path, "w") as made:
            made[name] = X
        os.utime(path, (1, len(name)))
        assert BareHdf5().fits(path) == (name == "x")


def test_names_in_a_file_do_not_command_the_terminal(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as made:
        made["\x1b[2J"], made["sim/labels\n"] = X, Y
    with pytest.raises(DataError) as refusal:
        Hdf5().read(str(tmp_path / "d.h5"), "train")
    assert r"holds \x1b[2J: float64, 20 x 12; sim/labels\n: int64, 20." in str(refusal.value)


def test_keys_name_one_data_set_each():
    assert named_in(DataConfig()) is None
    assert named_in(DataConfig(features=("a",), target="b")) == ("a", "b", "")
    for keys in ({"features": ("a", "b"), "target": "c"}, {"features": ("a",)}, {"features": ("a",), "target": 1}):
        with pytest.raises(DataError, match=r'one data set each, features = \["sim/images"\]'):
            named_in(DataConfig(**keys))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:3000], "cannot be read: .*truncated file"),
        (lambda data: data[:100], "cannot be read"),
        (lambda data: b"", "does not start as an HDF5 file does"),
        (lambda data: b"x" + data, "does not start as an HDF5 file does"),
        (lambda data: b"<html>", r"is a web page \(HTML\), not an HDF5 file"),
        (lambda data: b"\x1f\x8b" + data, r"is compressed by gzip, not an HDF5 file; unpack it"),
    ],
)
def test_damaged_files(named, change, message):
    with open(named, "rb") as stream:
        data = change(stream.read())
    with open(named, "wb") as stream:
        stream.write(data)
    with pytest.raises(DataError, match=message):
        read_arrays(named, ["x_train"])


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended with SIGSEGV; it seems damaged"),
        ("import os; os.kill(os.getpid(), 24)", "took far more processor time than so many bytes do"),
        ("import os; os.kill(os.getpid(), 9)", "was killed, as when memory runs out"),
        ("raise SystemExit(3)", "ended with code 3"),
        ("print('{', end='')", "ended with code 0"),
        ("print('x' * 10_000_000)", "ended with"),
    ],
)
def test_a_process_that_ends_over_a_file_is_an_error_and_no_more(named, monkeypatch, program, message):
    popen = hdf5_file.subprocess.Popen
    monkeypatch.setattr(hdf5_file.subprocess, "Popen", lambda words, **more: popen([words[0], "-c", program], **more))
    with pytest.raises(DataError, match=message):
        list_sets(named)


def test_without_h5py_the_extra_is_named(named, monkeypatch):
    monkeypatch.setattr(hdf5_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"is an HDF5 file, .* install it: pip install 'dpnet\[hdf5\]'"):
        read_arrays(named, ["x_train"])


@pytest.mark.parametrize("error", ["ImportError('libhdf5.so')", "ValueError('libhdf5.so')"])
def test_an_h5py_that_is_broken_is_not_taken_for_a_damaged_file(named, tmp_path, monkeypatch, error):
    (tmp_path / "h5py").mkdir()
    (tmp_path / "h5py/__init__.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"h5py cannot be imported \(\w+Error: libhdf5\.so\); install it again"):
        read_arrays(named, ["x_train"])


def test_test_data_without_the_weights_that_a_job_names_are_told(tmp_path):
    path = str(tmp_path / "t.h5")
    with h5py.File(path, "w") as made:
        made["a"], made["b"] = X, Y
    section = DataConfig(features=("a",), target="b", weight="heavy")
    remark = f"{path} has no data set heavy (data.weight): every sample counts as 1"
    assert remark in open_keyed(path, section, "classification").remarks
    assert open_keyed(path, section, None).remarks == ()


def test_a_text_for_a_target_is_shown_as_it_is(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as made:
        made["x"], made["y"] = X, [f"é{n}" for n in Y]
    with pytest.raises(DataError, match=r"the target is é\d, a text"):
        BareHdf5().read(str(tmp_path / "t.h5"), "train", "regression")


def test_processor_time_and_memory_are_limited_by_the_bytes_that_are_read(monkeypatch):
    limited, resource = {}, hdf5_process.resource
    monkeypatch.setattr(resource, "setrlimit", limited.__setitem__)
    hdf5_process._limit(100 * hdf5_process.BYTES_PER_S)
    assert limited[resource.RLIMIT_CPU][0] == hdf5_process.BASE_S + 100
    assert limited[resource.RLIMIT_AS][0] == hdf5_process.memory()
