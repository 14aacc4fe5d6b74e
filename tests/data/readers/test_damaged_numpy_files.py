"""Files of numpy that are damaged or hostile, one kind at a time."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from dpnet.data.readers.npy import map_npy
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def npy_bytes(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=X, y_train=Y)
    return str(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:-1], r"holds 47 bytes of data, but its header promises 48; it is truncated"),
        (lambda b: b + b"\0", r"holds 49 bytes of data, but its header promises 48"),
        (lambda b: b[:20], r"is damaged \("),
        (lambda b: b"", r"is damaged \("),
        (lambda b: b"<other>" + b, r"is damaged \("),
        (lambda b: b.replace(b"(4, 3), }  ", b"(4, 3000),}"), r"holds 48 bytes of data, but its header promises 48000"),
        (
            lambda b: b.replace(b"(4, 3), } ", b"(-4, -3),}"),
            r"has a header with the shape \(-4, -3\); it is damaged",
        ),
        (lambda b: b.replace(b"'<f4'", b"'<q4'"), r"is damaged \(ValueError"),
        (lambda b: b.replace(b"NUMPY\x01\0", b"NUMPY\x07\0"), r"has the \.npy version \(7, 0\); expected 1 or 2"),
    ],
)
def test_damaged_npy(tmp_path, change, message):
    path = tmp_path / "some.npy"
    changed = change(npy_bytes(X))
    assert changed != npy_bytes(X)
    path.write_bytes(changed)
    with pytest.raises(DataError, match=rf"some\.npy {message}"):
        map_npy(path)
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr("x.npy", changed)
    with pytest.raises(DataError, match=rf"some\.npz \(x\) {message}"):
        open_split(str(tmp_path / "some.npz"))


def test_npy_of_python_2_is_read_without_a_warning(tmp_path):
    path = tmp_path / "old.npy"
    path.write_bytes(npy_bytes(X).replace(b"(4, 3), }  ", b"(4L, 3L), }"))
    np.testing.assert_array_equal(map_npy(path), X)


def test_objects_are_never_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("unpickled",))

    np.savez(tmp_path / "evil.npz", x=np.array([[Evil()]]))
    np.save(tmp_path / "evil.npy", np.array([[Evil()]]))
    for name in ("evil.npz", "evil.npy"):
        with pytest.raises(DataError, match=r"pickled objects and records are not read"):
            open_split(str(tmp_path / name))


def test_damaged_zip(tmp_path, npz):
    whole = (tmp_path / "data.npz").read_bytes()
    for damaged in (whole[:-30], whole[:10], b"", b"PK"):
        (tmp_path / "data.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"data\.npz is truncated or damaged \(File is not a zip file\)"):
            open_source(npz)


def test_zip_with_a_wrong_checksum(tmp_path, npz):
    whole = (tmp_path / "data.npz").read_bytes()
    assert whole.count(X.tobytes()) == 1
    (tmp_path / "data.npz").write_bytes(whole.replace(X.tobytes(), (X + 1).tobytes()))
    with pytest.raises(DataError, match=r"data\.npz \(x_train\) is truncated or damaged \(Bad CRC-32"):
        open_source(npz)


def test_a_promise_of_much_memory_is_not_believed(tmp_path):
    # 64 EiB in the header: reserving them would fail, or worse, succeed.
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**60, 8)})
    (tmp_path / "big.npy").write_bytes(header.getvalue() + b"\0" * 64)
    with zipfile.ZipFile(tmp_path / "big.npz", "w") as archive:
        archive.write(tmp_path / "big.npy", "x.npy")
    for name in ("big.npy", "big.npz"):
        with pytest.raises(DataError, match=rf"holds 64 bytes of data, but its header promises {2**66}"):
            open_split(str(tmp_path / name))
