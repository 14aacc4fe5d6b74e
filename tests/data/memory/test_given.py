"""What a program gives as data: right results, or an error that says what it was; never something else in silence."""

import decimal

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.memory.given import in_memory
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 3


def opened(data, task="classification", **section):
    return open_source("<memory>", DataConfig(**section), task=task, memory=in_memory(data))


def from_npz(folder, task="classification", **arrays):
    np.savez(folder / "d.npz", **arrays)
    return open_source(str(folder / "d.npz"), task=task)


def same(found, expected):
    assert list(found.splits) == list(expected.splits)
    for name, split in expected.splits.items():
        other = found.splits[name]
        assert (other.inputs.dtype.str, other.inputs.tobytes()) == (split.inputs.dtype.str, split.inputs.tobytes())
        assert (other.labels.dtype, other.labels.tobytes()) == (split.labels.dtype, split.labels.tobytes())
        assert other.classes == split.classes
        assert (other.weights is None) == (split.weights is None)
        assert other.weights is None or other.weights.tobytes() == split.weights.tobytes()


ARRAYS = {
    "plain": (X, Y),
    "float32": (X.astype("f4"), Y),
    "float16": (X.astype("f2"), Y),
    "big-endian": (X.astype(">f8"), Y.astype(">i2")),
    "bytes": (X.astype("u1"), Y.astype("u1")),
    "booleans": (X > 9, Y > 0),
    "text": (X, np.array(["b", "a", "c"])[Y]),
    "one-hot": (X, np.eye(3)[Y]),
    "images": (np.arange(96.0).reshape(12, 2, 2, 2), Y),
    "columns first": (np.asfortranarray(X), Y),
    "every other": (np.arange(96.0).reshape(24, 4)[::2, ::2], np.repeat(Y, 2)[::2]),
    "backwards": (X[::-1], Y[::-1]),
    "a column of labels": (X, Y[:, np.newaxis]),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_are_read_as_from_a_file_of_them(tmp_path, kind):
    x, y = ARRAYS[kind]
    expected = from_npz(tmp_path, x_train=x, y_train=y)
    same(opened((x, y)), expected)
    same(opened({"x": x, "y": y}), expected)
    same(opened({"x_train": x, "y_train": y}), expected)
    x.setflags(write=False)
    same(opened((x, y, None)), expected)


def test_all_names_of_a_file_are_names_of_a_dictionary(tmp_path):
    arrays = {"x_train": X, "y_train": Y, "w_train": Y + 1.0, "x_val": X[:4], "y_val": Y[:4], "x_test": X, "y_test": Y}
    expected = from_npz(tmp_path, **arrays)
    same(opened(arrays), expected)
    with np.load(tmp_path / "d.npz") as archive:
        same(opened(archive), expected)
    same(opened((X, Y, Y + 1)), from_npz(tmp_path, x_train=X, y_train=Y, w_train=Y + 1))


def test_arrays_in_c_order_are_not_copied():
    assert np.shares_memory(opened((X, Y)).train.inputs, X)


@pytest.mark.parametrize(
    ("x", "y", "plain"),
    [
        (X.tolist(), Y.tolist(), (X, Y)),
        (X.astype(object), Y.astype(object), (X, Y)),
        (np.array([[1, 2.5], [True, 0]] * 6, object), Y, (np.array([[1, 2.5], [1, 0]] * 6), Y)),
        (X, np.array(["b", "a", "ccc"], object)[Y], (X, np.array(["b", "a", "ccc"])[Y])),
        (X, np.array([True, False, True], object)[Y], (X, np.array([True, False, True])[Y])),
        (np.ma.masked_array(X, mask=np.zeros_like(X)), Y, (X, Y)),
    ],
)
def test_objects_of_one_kind_are_taken_for_what_they_are(x, y, plain):
    same(opened((x, y)), opened(plain))


def objects(*values):
    return np.array([*values, *[values[0]] * (12 - len(values))], object)


BAD = {
    "a vector": (X[:, 0], Y, r"x in memory holds inputs of shape \(12,\); expected one row for each sample"),
    "no sample": (X[:0], Y[:0], r"x in memory holds no sample: its shape is \(0, 2\)"),
    "a number": (3.0, Y, r"^x in memory is of type float; expected an array, or a data frame\.$"),
    "fewer labels": (X, Y[:5], r"y in memory holds 5 labels, but x in memory holds 12 samples"),
    "ragged": ([[1, 2], [3]] * 6, Y, r"^x in memory makes no array: "),
    "text among numbers": (
        np.array([[1, "a"]] * 12, object), Y,
        r"^x in memory holds Python objects \(number and text\); row 0 \(from 0\) has 'a'; expected numbers: x\.astype",
    ),
    "gaps": (np.array([[1, 2.0]] * 3 + [[1, None]] * 9, object), Y, r"\(NoneType and number\); row 3 \(from 0\) has "),
    "decimals": (np.array([[decimal.Decimal(1)]] * 12, object), Y, r"objects \(Decimal\); row 0 \(from 0\) has "),
    "text": (X.astype(str), Y, r"x in memory holds inputs of type <U\d+; expected integers or real numbers"),
    "complex": (X + 1j, Y, r"x in memory holds inputs of type complex128"),
    "dates": (X.astype("M8[s]"), Y, r"x in memory holds inputs of type datetime64"),
    "records": (np.zeros(12, "f8,i4"), Y, r"x in memory holds elements of type \[\('f0', '<f8'\), \('f1', '<i4'\)\]"),
    "long": (X.astype(np.longdouble), Y, r"x in memory is of type (float128|longdouble), which is kept in no file"),
    "masked": (np.ma.masked_equal(X, 3), Y, r"^x in memory has 1 masked values; fill them"),
    "NaN as a label": (X, np.where(Y == 1, np.nan, Y), r"^y in memory, row 1 \(from 0\): the label is nan"),
    "fractions as labels": (X, Y + 0.5, r"^y in memory, row 0 \(from 0\): the label is 0\.5; .*model\.task"),
    "labels of two kinds": (X, objects("a", 1, "b"), r"^y in memory holds Python objects .*; row 1 \(from 0\) has 1; "),
    "a label that is missing": (X, objects("a", "b", float("nan")), r"row 2 \(from 0\) has nan; expected labels "),
    "truth and numbers": (X, objects(True, 1, 2), r"row 1 \(from 0\) has 1; expected labels of one kind"),
    "a set": ({1, 2}, Y, r"^x in memory is of type set; expected an array"),
    "a generator": ((row for row in X), Y, r"^x in memory is of type generator; expected an array"),
    "a list of masked arrays": ([np.ma.masked_equal(row, 3) for row in X], Y, r"^x in memory is a list of masked arr"),
    "no labels": (X, None, r"^y in memory is missing; give the label of each sample of x in memory"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_trained_on_is_refused(kind):
    x, y, message = BAD[kind]
    with pytest.raises(DataError, match=message):
        opened((x, y))


def test_a_list_of_inputs_and_labels_is_told_from_a_tuple():
    with pytest.raises(DataError, match=r"^x in memory makes no array: .* are given as a tuple: \(x, y\)\.$"):
        opened([X, Y])


def test_a_sparse_matrix_is_not_taken_for_an_object():
    sparse = pytest.importorskip("scipy.sparse")
    for made in (sparse.csr_matrix(X), sparse.coo_array(X)):
        with pytest.raises(DataError, match=r"^x in memory is sparse; expected .*: x\.toarray\(\)\.$"):
            opened((made, Y))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X,), r"^the data are a tuple of 1; expected \(x, y\), or \(x, y, weights\)"),
        ((X, Y, Y, Y), r"^the data are a tuple of 4"),
        ({}, r"^the data hold nothing; expected arrays x and y"),
        ({"train": X, "y": Y}, r"^the data hold train; expected arrays x and y|^the data hold train, y; "),
        ({"x_train": X, "y_train": Y, "x_tset": X}, r"^the data hold x_tset; expected arrays"),
        ({"x_train": X, "y_train": Y, "x": X}, r"^the data hold x; expected arrays"),
        ({"x_val": X, "x_validation": X, "x_train": X, "y_train": Y}, r"holds x_validation, and x_val beside"),
        ({"x_test": X, "y_test": Y}, r"^the data hold no x_train; they hold x_test and y_test\.$"),
        ({"y_train": Y}, r"^the data hold y_train; expected|^the data hold no x_train"),
    ],
)
def test_groups_of_arrays_have_the_names_of_files(data, message):
    with pytest.raises(DataError, match=message):
        opened(data)


def test_a_network_is_applied_to_arrays_of_one_set_or_to_a_part():
    memory = in_memory({"x_train": X, "y_train": Y, "x_test": X[:3], "y_test": Y[:3]})
    assert len(open_split(memory, "test")) == 3
    with pytest.raises(DataError, match=r"^the set of arrays has no validation samples, only train and test samples; "):
        open_split(memory, "validation")
    alone = open_split(in_memory(X), "test", labelled=False)
    assert (len(alone), alone.labels) == (12, None)


def test_numbers_are_learnt_from_arrays(tmp_path):
    same(opened((X, X), "regression"), from_npz(tmp_path, "regression", x_train=X, y_train=X))
    with pytest.raises(DataError, match=r"^y in memory, row 2 \(from 0\): the target is inf"):
        opened((X, np.where(Y == 2, np.inf, 0.5)), "regression")


def test_a_job_whose_data_lay_in_memory_says_so():
    with pytest.raises(DataError, match=r"^the data of this job lay in memory \(data\.source is <memory>\); give them"):
        open_source("<memory>")


@pytest.mark.parametrize("x", [np.empty(0, object), np.empty((0, 3), object), np.empty((4, 0), object)])
def test_an_empty_array_of_objects_is_told_as_one_of_numbers_is(x):
    for dtype in (object, float):
        with pytest.raises(DataError, match=r"x in memory holds (no sample|inputs of shape \(0,\))"):
            opened((x.astype(dtype), Y))
    with pytest.raises(DataError, match="y in memory holds 0 labels, but x in memory holds 12 samples"):
        opened((X, np.empty(0, object)))


def test_masked_records_are_refused_as_records_are():
    x = np.ma.masked_array(np.zeros(12, "i4,f8"), mask=True)
    with pytest.raises(DataError, match=r"x in memory holds elements of type .*; expected plain numbers"):
        opened((x, Y))
