from __future__ import annotations

import numpy as np
import pytest

from dpnet.data.sources import open_source, open_split, require_labels
from dpnet.errors import DataError

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


@pytest.fixture
def npy_folder(tmp_path):
    def write(**arrays):
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
        return str(tmp_path)

    return write


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_round_trip(tmp_path, save):
    save(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:2] + 1, y_test=np.uint8([2, 0]), other="ignored")
    source = open_source(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(source.train.inputs, X, strict=True)
    np.testing.assert_array_equal(source.train.labels, Y, strict=True)
    np.testing.assert_array_equal(source.test.inputs, X[:2] + 1, strict=True)
    np.testing.assert_array_equal(source.test.labels, np.array([2, 0]), strict=True)
    assert (source.features, source.outputs) == (3, 3)
    np.testing.assert_array_equal(open_split(str(tmp_path / "a.npz"), "train").inputs, X)
    np.testing.assert_array_equal(open_split(str(tmp_path / "a.npz")).inputs, X[:2] + 1)


def test_npz_stored_by_columns_comes_back_by_rows(npz):
    inputs = open_source(npz(x_train=np.asfortranarray(X), y_train=Y)).train.inputs
    np.testing.assert_array_equal(inputs, X, strict=True)
    assert inputs.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", ">i4", "u8", "f2", ">f4", "f8", "g"])
def test_every_real_type_is_taken_as_it_is(npz, npy_folder, dtype):
    x = np.array([[1, 0], [0, 1]], dtype=dtype)
    for source in (npz(x_train=x, y_train=Y[:2]), npy_folder(x_train=x, y_train=Y[:2])):
        inputs = open_source(source).train.inputs
        assert inputs.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(inputs, x)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", ">i4", "u8", ">f4", "f8"])
def test_the_numbers_of_classes_are_int64_whatever_the_labels_are(npz, dtype):
    labels = open_source(npz(x_train=X[:2], y_train=np.array([1, 0], dtype=dtype))).train.labels
    np.testing.assert_array_equal(labels, np.array([1, 0], dtype=np.int64), strict=True)


def test_npy_stays_mapped(npy_folder):
    source = open_source(npy_folder(x_train=X.reshape(4, 3, 1), y_train=Y, x_test=X, y_test=Y))
    for split in (source.train, source.test):
        assert isinstance(split.inputs, np.memmap)
        assert split.inputs.flags.c_contiguous
        np.testing.assert_array_equal(split.inputs, X)
    with pytest.raises(ValueError, match="read-only"):
        source.train.inputs[0, 0] = 1


def test_more_dimensions_are_flattened_without_a_copy(npy_folder, tmp_path):
    path = npy_folder(x_train=np.arange(24).reshape(2, 3, 4), y_train=[0, 1])
    inputs = open_source(path).train.inputs
    np.testing.assert_array_equal(inputs, np.arange(24).reshape(2, 12))
    assert isinstance(inputs.base, np.memmap)
    assert not inputs.flags.owndata


def test_npy_larger_than_what_is_read(tmp_path):
    # A terabyte on no disk: the file has a hole. Only mapping it can succeed.
    path = tmp_path / "x_train.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2**28, 1024)})
        try:
            file.truncate(file.tell() + 2**40)
        except OSError:
            pytest.skip("this file system makes no large sparse files")
    inputs = open_split(str(path)).inputs
    assert inputs.shape == (2**28, 1024)
    assert inputs[2**28 - 1].sum() == 0


def test_inputs_alone(npz, npy_folder, tmp_path):
    np.save(tmp_path / "some.npy", X)
    for source in (str(tmp_path / "some.npy"), npz(x=X), npy_folder(x_test=X), npz(x_test=X)):
        split = open_split(source)
        np.testing.assert_array_equal(split.inputs, X)
        assert split.labels is None


def test_one_npy_file_of_inputs_has_the_labels_beside_it(tmp_path):
    for inputs, labels in (("x.npy", "y.npy"), ("x_new.npy", "y_new.npy")):
        np.save(tmp_path / inputs, X)
        split = open_split(str(tmp_path / inputs))
        assert (split.labels, split.labels_file) == (None, str(tmp_path / labels))
        with pytest.raises(DataError, match=f"{labels} is missing; give the label of each sample of .*{inputs} there"):
            require_labels(split)
        np.save(tmp_path / labels, np.arange(len(X)))
        assert open_split(str(tmp_path / inputs)).labels.tolist() == list(range(len(X)))
    for name in ("inputs.npy", "xs.npy"):
        np.save(tmp_path / name, X)
        with pytest.raises(DataError, match=f"{name} holds inputs alone, and by its name no file of labels belongs"):
            require_labels(open_split(str(tmp_path / name)))


def test_npz_of_one_split(npz):
    split = open_split(npz(x=X, y=Y), "train")
    np.testing.assert_array_equal(split.labels, Y)
    assert split.inputs_file.endswith("data.npz (x)")
    with pytest.raises(DataError, match=r"data\.npz \(x_train\)|data\.npz holds no array x_train; it holds x, y"):
        open_source(npz(x=X, y=Y))


def test_named_splits_come_before_x(npz):
    np.testing.assert_array_equal(open_split(npz(x=X, x_test=X + 1)).inputs, X + 1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": X}, r"data\.npz \(y_train\) is missing; give the label of each sample of .*data\.npz \(x_train\)"),
        ({"y_train": Y}, r"data\.npz holds no array x_train; it holds y_train;"),
        ({"a": X, "b": Y}, r"data\.npz holds no array x_train; it holds a, b;"),
        ({}, r"data\.npz holds no array x_train; it holds nothing;"),
        ({"x_train": X, "y_train": Y, "x_test": X}, r"data\.npz \(y_test\) is missing"),
        (
            {"x_train": X, "y_train": Y, "y_test": Y},
            r"data\.npz holds no array x_test; it holds x_train, y_test, y_train;",
        ),
        ({"x_train": X, "y_train": Y[:3]}, r"\(y_train\) holds 3 labels, but .*\(x_train\) holds 4 samples"),
        (
            {"x_train": X, "y_train": Y[:, None, None]},
            r"\(y_train\) holds .* shape \(4, 1, 1\); expected one",
        ),
        ({"x_train": X[0], "y_train": Y}, r"\(x_train\) holds inputs of shape \(3,\).*x\.reshape\(-1, 1\)"),
        ({"x_train": X[:0], "y_train": Y[:0]}, r"\(x_train\) holds no sample: its shape is \(0, 3\)"),
        ({"x_train": X[:, :0], "y_train": Y}, r"holds no sample: its shape is \(4, 0\).*at least one row and column"),
        ({"x_train": X, "y_train": Y + 1j}, r"\(y_train\) holds labels of type complex128.*y\.astype\(str\)"),
        (
            {"x_train": X, "y_train": Y.astype("datetime64[D]")},
            r"\(y_train\) holds labels of type datetime64.*y\.astype\(str\)",
        ),
        (
            {"x_train": X, "y_train": np.uint64([0, 0, 2**63, 1])},
            r"row 2 \(from 0\): the label is 9223372036854775808;",
        ),
        ({"x_train": X + 1j, "y_train": Y}, r"\(x_train\) holds inputs of type complex64; expected integers or real"),
        ({"x_train": X.astype(str), "y_train": Y}, r"\(x_train\) holds inputs of type <U"),
        (
            {"x_train": X.astype(object), "y_train": Y},
            r"\(x_train\) holds elements of type object.*not read.*astype\(float",
        ),
        ({"x_train": np.zeros(4, "i4,f8"), "y_train": Y}, r"\(x_train\) holds elements of type .*records are not read"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y}, r"\(x_test\) has 2 features, but .*\) has 3;"),
    ],
)
def test_arrays_that_cannot_be_trained_on(npz, arrays, message):
    with pytest.raises(DataError, match=message):
        open_source(npz(**arrays))


def test_missing_npy_files(npy_folder, tmp_path):
    source = npy_folder(y_train=Y)
    with pytest.raises(DataError, match=r"x_train\.npy is missing; the folder holds y_train\.npy"):
        open_source(source)
    (tmp_path / "y_train.npy").unlink()
    npy_folder(x_train=X)
    with pytest.raises(DataError, match=r"y_train\.npy is missing; give the label .*x_train\.npy"):
        open_source(source)


def test_npy_stored_by_columns_is_refused_with_the_remedy(npy_folder):
    with pytest.raises(DataError, match=r"x_train\.npy is stored by columns .*np\.save\(path, np\.ascontiguousarray"):
        open_source(npy_folder(x_train=np.asfortranarray(X), y_train=Y))
