"""Labels as files hold them: what is taken, and what is refused by row."""

import numpy as np
import pytest

from dpnet.data import labels
from dpnet.data.labels import number_labels
from dpnet.errors import DataError


@pytest.mark.parametrize(
    ("given", "classes", "numbers"),
    [
        (np.uint8([3, 1, 3]), [1, 3], [1, 0, 1]),
        (np.array([-1, 1, 1]), [-1, 1], [0, 1, 1]),
        (np.float32([2, 1, 1]), [1.0, 2.0], [1, 0, 0]),
        (np.array([True, False]), [False, True], [1, 0]),
        (np.array(["no", "yes", "no"]), ["no", "yes"], [0, 1, 0]),
        (np.array(["é", "a"]).astype(">U3"), ["a", "é"], [1, 0]),
        (np.array(["é".encode(), b"a"]), ["a", "é"], [1, 0]),
        (np.array([[5], [4]]), [4, 5], [1, 0]),
        (np.float64([[0, 1, 0], [0, 0, 1]]), [0, 1, 2], [1, 2]),
        (np.array([[False, True], [True, False]]), [0, 1], [1, 0]),
    ],
)
def test_labels_of_every_kind(given, classes, numbers):
    found, of = number_labels(given, "y")
    np.testing.assert_array_equal(found, np.array(numbers, np.int64), strict=True)
    assert of.values.tolist() == classes
    assert of.values.dtype.isnative


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.array([1.0, np.nan]), r"y, row 1 \(from 0\): the label is nan, as if it were missing; leave it out"),
        (np.array([1.0, np.inf]), r"row 1 .* the label is inf; expected whole numbers"),
        (
            np.array([1.0, 2.0**53]),
            r"row 1 .* the label is 9007199254740992, and float64 does not tell .* from 2\*\*53",
        ),
        (np.array([1, -(2**24)], np.float32), r"row 1 .* the label is -16777216, and float32 does not tell"),
        (np.array([1.0, 2.5]), r"row 1 .* the label is 2.5; expected whole numbers, .* model.task = \"regression\""),
        (np.array(["a", ""]), r"row 1 .* the label is empty, as if it were missing"),
        (np.array([b"a", b"\xff"]), r"y holds labels that are not UTF-8 .*y\.astype\(str\)"),
        (np.array(["a", "b" * 1001]), r"row 1 .* the label has 1001 characters; expected at most 1000"),
        (np.uint64([1, 2**63]), r"row 1 .* the label is 9223372036854775808; expected at most"),
        (np.array([1j, 2j]), r"y holds labels of type complex128; expected integers, booleans, whole numbers or text"),
        (np.array(["2020-01-01"], "M8[D]"), r"labels of type datetime64\[D\]; .*y\.astype\(str\)"),
        (
            np.zeros((2, 3)),
            r"y holds labels of shape \(2, 3\); .* \(one-hot\); row 0 \(from 0\) is \[0\.0, 0\.0, 0\.0\]",
        ),
        (np.array([[0, 1], [1, 1]]), r"row 1 \(from 0\) is \[1, 1\]\. Several labels, .* \"multilabel\""),
        (
            np.array([[0, 1], [0.5, 0.5]]),
            r"row 1 \(from 0\) is \[0\.5, 0\.5\]\. Probabilities: y\.argmax\(axis=1\)\. .* \"regression\"",
        ),
        (np.array([["a", "b"], ["a", "b"]]), r"y holds labels of type <U1 and shape \(2, 2\); expected one"),
        (np.zeros((2, 1, 1), int), r"shape \(2, 1, 1\); expected one for each sample"),
    ],
)
def test_what_are_no_labels_of_classes_is_refused_by_row(given, message):
    with pytest.raises(DataError, match=message):
        number_labels(given, "y")


def test_one_hot_rows_are_looked_at_block_by_block(monkeypatch):
    monkeypatch.setattr(labels, "BLOCK", 2)
    rows = np.eye(3, dtype=np.uint8)[[0, 1, 2, 2, 1]]
    assert number_labels(rows, "y")[0].tolist() == [0, 1, 2, 2, 1]
    rows[3, 0] = 1
    with pytest.raises(DataError, match="row 3"):
        number_labels(rows, "y")
