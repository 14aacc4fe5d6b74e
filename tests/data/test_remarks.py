"""What is odd about data is said; of ordinary data nothing is."""

import numpy as np
import pytest
from helpers.jobs import train

from dpnet.data.numbering import numbered_as
from dpnet.data.remarks import remarks
from dpnet.data.sources import DataSource, open_source
from dpnet.data.split import make_split
from dpnet.data.statistics import chunks, combine, measure


def said(train_labels, test_labels=None, *, train_inputs=None, test_inputs=None):
    """The remarks on samples with these labels, and with inputs of standard normal numbers or those given."""
    splits, generator = [], np.random.default_rng(0)
    for labels, inputs in ((train_labels, train_inputs), (test_labels, test_inputs)):
        if labels is None:
            splits.append(None)
            continue
        values = generator.standard_normal((len(labels), 2)) if inputs is None else np.asarray(inputs)
        split = make_split(values, np.asarray(labels), "x", "y")
        splits.append(numbered_as(split, splits[0].classes, of="training", unknown="ignore") if splits else split)
    moments = {
        name: combine([measure(split, chunk) for chunk in chunks(len(split))])
        for name, split in zip(("train", "test"), splits, strict=True)
        if split is not None
    }
    return remarks(DataSource("data", *splits), moments, {})


@pytest.mark.parametrize("test_labels", [None, [1, 0, 2, 2]])
def test_nothing_is_said_of_ordinary_data(test_labels):
    assert said([0, 1, 2, 2], test_labels) == []


def test_nothing_is_said_of_the_digits():
    assert remarks(open_source("digits"), {}, {}) == []


@pytest.mark.parametrize(
    ("train_labels", "test_labels", "expected"),
    [
        ([1, 2, 3], [3, 2, 1], ["3 classes stand for the labels: 1, 2, 3"]),
        ([0, 1, 1000], None, ["3 classes stand for the labels: 0, 1, 1000"]),
        (
            list("cabbage"),
            list("abc"),
            ["5 classes stand for the labels: a, b, c, e, g", "the test scores say nothing of"],
        ),
        ([0.0, 1.0], [1, 0], ["2 classes stand for the labels: 0.0, 1.0"]),
        (range(1, 27), None, ["26 classes stand for the labels: 1, 2, 3, 4, 5, ..., 26. Targets that"]),
        (range(26), None, ["26 classes stand for the labels: 0, 1, 2, 3, 4, ..., 25. Targets that"]),
        ([0, 0], [0, 0], ["all training samples are of class 0: there is nothing to learn"]),
        ([2, 2], None, ["all training samples are of class 2: there is nothing to learn"]),
        ([0, 1], [0, 1, 2, 2], ["2 test samples of classes without a training sample: left out of the scores"]),
        ([0, 1, 2], [0, 2], ["the test scores say nothing of classes without a test sample: 1"]),
    ],
)
def test_labels_and_classes_without_samples_are_told_in_a_line_each(train_labels, test_labels, expected):
    found = said(train_labels, test_labels)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True)), found


def test_what_is_odd_about_validation_samples_is_told_as_of_test_samples():
    train = make_split(np.zeros((3, 1)), np.array([0, 1, 2]), "x", "y")
    other = make_split(np.ones((2, 1)), np.array([0, 7]), "x", "y")
    other = numbered_as(other, train.classes, of="training", unknown="ignore")
    moments = {
        "train": measure(train, (0, 3)),
        "validation": measure(make_split(np.array([[0], [200]]), None, "x", "y"), (0, 2)),
    }
    assert remarks(DataSource("data", train, None, validation=other), moments, {}) == [
        "1 validation sample of classes without a training sample: left out of the scores",
        "the validation scores say nothing of classes without a validation sample: 1, 2",
        "training inputs are 0 to 0, validation inputs 0 to 200: were they scaled alike?",
    ]


def test_test_inputs_of_another_scale_are_told():
    raw, scaled = np.array([[0, 255], [3, 7]], np.uint8), np.array([[0.0, 1.0], [0.5, 0.25]])
    text = "training inputs are 0 to 255, test inputs 0 to 1: were they scaled alike?"
    assert said([0, 1], [0, 1], train_inputs=raw, test_inputs=scaled) == [text]
    text = "training inputs are 0 to 1, test inputs 0 to 255: were they scaled alike?"
    assert said([0, 1], [0, 1], train_inputs=scaled, test_inputs=raw) == [text]
    assert said([0, 1], [0, 1], train_inputs=raw, test_inputs=raw // 5) == []
    assert said([0, 1], [0, 1], train_inputs=scaled, test_inputs=scaled * 2) == []


def test_the_same_samples_to_train_and_to_test_are_told(tmp_path, capsys):
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((30, 2)), np.arange(30) % 3
    for path, other in (("same.npz", x), ("other.npz", x + 1)):
        np.savez(tmp_path / path, x_train=x, y_train=y, x_test=other, y_test=y)
        settings = {"data.source": str(tmp_path / path), "train.epochs": 1, "train.global_batch_size": 10}
        train(tmp_path / path.removesuffix(".npz"), settings)
    assert capsys.readouterr().out.count("note: the test inputs are those of the training data, to the last bit") == 1
