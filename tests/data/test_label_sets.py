"""Labels of which a sample may have several: what is taken for them, and what is refused where it stands."""

import numpy as np
import pytest

from dpnet.data.classes import Classes, plain_classes
from dpnet.data.label_sets import check_label_sets, columns_as, label_sets_text, missing_labels
from dpnet.errors import DataError

SETS = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0], [1, 0, 1]])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, ">i4", np.int64, np.float16, np.float32, ">f8"])
def test_booleans_and_numbers_that_are_0_or_1_are_taken(dtype):
    found, labels = check_label_sets(SETS.astype(dtype), "y.npy")
    assert found.dtype == np.bool_
    assert found.tolist() == SETS.astype(bool).tolist()
    assert labels == plain_classes(3)


def test_one_column_is_one_label():
    found, labels = check_label_sets(np.array([0, 1, 1]), "y.npy")
    assert found.tolist() == [[False], [True], [True]]
    assert len(labels) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.where(SETS, 1, -1), r"y\.npy, row 0 \(from 0\): label 1 \(from 0\) is -1; expected 0 or 1"),
        (np.where(np.arange(12).reshape(4, 3) == 7, np.nan, SETS), r"row 2 \(from 0\): label 1 \(from 0\) is nan"),
        (SETS * 0.5, r"row 0 \(from 0\): label 0 \(from 0\) is 0\.5"),
        (np.array([1, 0, 2]), r"row 2 .* is 2; .* One class for each sample: model\.task = \"classification\""),
        (np.array([["a", "b"]] * 3), r"type <U1 and shape \(3, 2\); .*MultiLabelBinarizer"),
        (np.zeros((3, 0)), r"shape \(3, 0\)"),
        (np.zeros((3, 2, 2)), r"shape \(3, 2, 2\); .* expected \(samples, labels\) of 0 and 1"),
    ],
)
def test_what_is_neither_0_nor_1_is_refused_by_row_and_label(labels, message):
    with pytest.raises(DataError, match=message):
        check_label_sets(labels, "y.npy")


def test_a_wrong_value_beyond_the_first_block_is_named_by_its_own_row(monkeypatch):
    monkeypatch.setattr("dpnet.data.label_sets.BLOCK", 3)
    labels = np.zeros((8, 2))
    labels[7, 1] = 3
    with pytest.raises(DataError, match=r"line 7: label 1 \(from 0\) is 3\.0"):
        check_label_sets(labels, "y.csv", lambda row: f"y.csv, line {row}")
    labels[7, 1] = 1
    assert check_label_sets(labels, "y.csv")[0].sum() == 1


def test_what_labels_there_are_is_told():
    labels = plain_classes(3)
    sets = SETS.astype(bool)
    assert label_sets_text(sets, labels) == (
        "4 training samples with 0 to 2 of 3 labels, 1.2 on average; the rarest, 1, has 0"
    )
    assert missing_labels(sets, labels) == "1"
    assert label_sets_text(sets[:, :1], plain_classes(1)) == "3 of 4 training samples have the label 0"
    assert label_sets_text(np.zeros((4, 2), bool), plain_classes(2)).endswith("there is nothing to learn")


def test_columns_of_other_data_are_found_by_name_or_if_they_have_none_by_place():
    trained, other = (Classes(np.array(names)) for names in (["b", "a", "c"], ["a", "b", "c"]))
    assert columns_as(trained, other, "y", "the network") == [1, 0, 2]
    assert columns_as(trained, plain_classes(3), "y", "the network") == [0, 1, 2]
    with pytest.raises(DataError, match="y has the labels a, b, and the network has b, a, c; give data of the same"):
        columns_as(trained, Classes(np.array(["a", "b"])), "y", "the network")
