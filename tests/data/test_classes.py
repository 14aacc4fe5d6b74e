"""Labels of any kind are numbered in sorted order, and other data in the same way."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.data.classes import UNKNOWN, Classes, find_classes, label_list, label_text, plain_classes, recorded_classes
from dpnet.data.numbering import numbered_as
from dpnet.data.split import make_split
from dpnet.errors import DataError

KINDS = {
    "integers": st.integers(-(2**63), 2**63 - 1),
    "small integers": st.integers(0, 5),
    "numbers": st.integers(-(2**40), 2**40).map(float),
    "booleans": st.booleans(),
    "text": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_classes_are_the_labels_in_sorted_order(kind, data):
    labels = np.array(data.draw(st.lists(KINDS[kind], min_size=1, max_size=20)))
    classes = find_classes(labels, file="y")
    assert classes.values.tolist() == sorted(set(labels.tolist()))
    assert classes.values[classes.number(labels)].tolist() == labels.tolist()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_checkpoint_gives_the_same_classes_back(kind, data):
    labels = np.array(data.draw(st.lists(KINDS[kind], min_size=1, max_size=20)))
    classes = find_classes(labels, file="y")
    back = recorded_classes(json.loads(json.dumps(classes.record())), len(classes))
    assert back == classes
    np.testing.assert_array_equal(back.number(labels), classes.number(labels))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_label_that_is_no_class_has_no_number(kind, data):
    known, asked = (np.array(data.draw(st.lists(KINDS[kind], min_size=1, max_size=9))) for _ in "ab")
    numbers = find_classes(known, file="y").number(asked)
    expected = [sorted(set(known.tolist())).index(label) if label in known else UNKNOWN for label in asked.tolist()]
    assert numbers.tolist() == expected


def test_numbers_are_compared_by_value_and_never_with_text():
    assert Classes(np.array([1, 2, 7])).number(np.array([7.0, 1.5, 2.0])).tolist() == [2, UNKNOWN, 1]
    assert plain_classes(2).number(np.array([True, False])).tolist() == [1, 0]
    assert plain_classes(2).number(np.array(["0", "1"])).tolist() == [UNKNOWN, UNKNOWN]
    assert Classes(np.array(["0", "1"])).number(np.array([0, 1])).tolist() == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize(
    ("values", "texts", "numbers"),
    [
        ([1, 2, 7], [" 1", "2.0", "7e0", "07", "1_0", "1.5", "two", "nan", "True"], [0, 1, 2, 2, -1, -1, -1, -1, 0]),
        ([0.5, 2.0], ["0.5", "2", "1"], [0, 1, -1]),
        ([2**62, 2**62 + 1], [str(2**62 + 1), str(2**62 + 2)], [1, -1]),
        ([False, True], ["TRUE", "false", "maybe"], [1, 0, -1]),
        (["1", "a"], ["a", "1", "1.0"], [1, 0, -1]),
    ],
)
def test_text_of_a_file_of_text_means_the_numbers_that_it_shows(values, texts, numbers):
    assert Classes(np.array(values)).number_of(Classes(np.array(texts), written=True)).tolist() == numbers


def test_labels_from_0_without_a_gap_are_not_recorded():
    assert find_classes(np.array([2, 0, 1]), file="y").record() is None
    assert find_classes(np.array([2, 0]), file="y").record() == [0, 2]
    assert find_classes(np.array([1.0, 0.0]), file="y").record() == [0.0, 1.0]


@pytest.mark.parametrize(
    "record",
    [[], "ab", {"a": 1}, ["b", "a"], ["a", "a"], ["a", 1], [1, 2.0], [True, 1], [None, None], [1, 2, 3], [[1], [2]]],
)
def test_what_cannot_be_the_classes_of_a_network_is_refused(record):
    with pytest.raises(ValueError, match="the labels of the classes are"):
        recorded_classes(record, 2)


def test_not_finite_classes_are_refused():
    with pytest.raises(ValueError, match="expected them sorted, each once"):
        recorded_classes([1.0, float("inf")], 2)


def test_more_text_than_a_checkpoint_can_name_is_refused():
    labels = np.char.add("x" * 400, np.arange(3000).astype(str))
    with pytest.raises(
        DataError, match=r"y holds 3,000 different labels, .* of 1 MiB together; expected those of classes"
    ):
        find_classes(labels, file="y")


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([0, 1], "0, 1"),
        (range(6), "0, 1, 2, 3, 4, 5"),
        (range(7), "0, 1, 2, 3, 4, ..., 6"),
        (["a b", " c", "\x1b[2J"], r"a b, ' c', '\x1b[2J'"),
    ],
)
def test_labels_in_a_message(labels, text):
    assert label_list(labels) == text


def test_a_long_label_is_cut_short_in_a_message():
    assert label_text("x" * 99) == "x" * 40 + "..."


def split(labels):
    return make_split(np.ones((len(labels), 2)), np.array(labels), "x.npy", "y.npy")


def test_test_labels_are_numbered_as_those_of_the_training_data():
    train, test = split(["b", "a", "c"]), split(["c", "b"])
    assert train.labels.tolist() == [1, 0, 2]
    renumbered = numbered_as(test, train.classes, of="the training data", unknown="error")
    assert renumbered.labels.tolist() == [2, 1]
    assert renumbered.known is None
    assert test.labels.tolist() == [1, 0]


def test_a_label_that_training_never_saw_is_an_error_that_names_and_counts_it():
    with pytest.raises(DataError) as raised:
        numbered_as(
            split(["a", "x", "b", "y", "x"]), split(["a", "b"]).classes, of="the training data", unknown="error"
        )
    assert str(raised.value) == (
        "y.npy, row 1 (from 0): the label is x, and the training data has the classes a, b. 3 of 5 samples have such a "
        'label: x, y. data.unknown_labels = "ignore" leaves such samples out of the scores.'
    )
    with pytest.raises(DataError, match=r"1 of 2 samples has such a label: x\. -u leaves such samples out"):
        numbered_as(split(["a", "x"]), split(["a"]).classes, of="the network", unknown="error", way="-u")
    prices = split(np.arange(100.0) * 7).classes
    with pytest.raises(DataError, match=r"leaves such .* that are numbers: model\.task = \"regression\"\.$"):
        numbered_as(split(np.arange(100.0) * 3), prices, of="the training data", unknown="error")


def test_samples_of_unknown_labels_can_be_left_out():
    kept = numbered_as(split([3, 9, 5]), split([5, 3, 4]).classes, of="the training data", unknown="ignore")
    assert kept.labels.tolist() == [0, UNKNOWN, 2]
    assert kept.known.tolist() == [0, 2]


def test_labels_of_another_kind_are_told_as_that():
    with pytest.raises(DataError, match=r"has the classes 1, 2: they are integers, these labels are text; give"):
        numbered_as(split(["1", "zwei"]), split([1, 2]).classes, of="the training data", unknown="error")


def test_data_of_other_classes_altogether_are_refused_in_any_case():
    with pytest.raises(DataError, match=r"row 0 .* is 7, and no other is known either: the network has the classes a"):
        numbered_as(split([7, 8]), split(["a"]).classes, of="the network", unknown="ignore")
