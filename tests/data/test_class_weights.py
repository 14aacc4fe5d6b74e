"""Weights of classes, against scikit-learn, and by every kind of label."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from dpnet.data.class_weights import weigh_classes
from dpnet.data.split import make_split
from dpnet.errors import DataError

LABELS = np.array(["dog", "cat", "dog", "eel", "dog", "dog"])


def split_of(labels, weights=None):
    return make_split(np.ones((len(labels), 2)), np.asarray(labels), "x", "y", weights=weights, weights_file="w")


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2, 3, 4, 0, 0.5])])
def test_balanced_weights_are_those_of_scikit_learn(weights):
    weighed = weigh_classes(split_of(LABELS, weights), "balanced")
    expected = compute_class_weight("balanced", classes=np.unique(LABELS), y=LABELS, sample_weight=weights)
    own = np.ones(6) if weights is None else weights
    np.testing.assert_allclose(weighed.weights, own * expected[np.unique(LABELS, return_inverse=True)[1]], rtol=1e-15)
    totals = np.bincount(weighed.labels, weights=weighed.weights)
    np.testing.assert_allclose(totals, own.sum() / 3, rtol=1e-15)


def test_a_table_names_some_classes_and_the_others_weigh_one():
    weighed = weigh_classes(split_of(LABELS), {"cat": 2.5, "dog": 0})
    assert weighed.weights.tolist() == [0, 2.5, 0, 1, 0, 0]
    remark = "the classes weigh, in loss and accuracy of the training: 2.5 for cat, 1 for eel, 0 for dog"
    assert weighed.remarks == (remark,)


@pytest.mark.parametrize(
    ("labels", "setting"),
    [
        ([3, 7, 3], {"7": 2.0}),
        ([3.0, 7.0, 3.0], {"7": 2.0}),
        ([3.0, 7.0, 3.0], {"7.0": 2.0}),
        ([False, True, False], {"true": 2.0}),
        ([False, True, False], {"True": 2.0}),
        ([[1, 0], [0, 1], [1, 0]], {"1": 2.0}),
    ],
    ids=str,
)
def test_labels_are_named_as_they_are_written(labels, setting):
    assert weigh_classes(split_of(labels), setting).weights.tolist() == [1, 2, 1]


def test_a_label_that_no_class_has_is_refused():
    expected = r"data.class_weights names cats; the classes of y are cat, dog, eel\."
    with pytest.raises(DataError, match=expected):
        weigh_classes(split_of(LABELS), {"cats": 2.0})


def test_weights_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(DataError, match="leave no training sample a weight above 0, of 6"):
        weigh_classes(split_of(LABELS), dict.fromkeys(["cat", "dog", "eel"], 0.0))


def test_a_class_whose_samples_weigh_nothing_weighs_nothing():
    weighed = weigh_classes(split_of([0, 1, 1], np.array([0.0, 1, 1])), "balanced")
    assert weighed.weights.tolist() == [0, 0.5, 0.5]


def test_without_a_setting_nothing_changes():
    split = split_of(LABELS)
    assert weigh_classes(split, None) is split


@pytest.mark.parametrize(
    ("labels", "setting"), [([3.0, 7.0], {"7": 2.0, "7.0": 3.0}), ([True, False], {"true": 2.0, "True": 3.0})], ids=str
)
def test_two_names_of_one_class_are_refused(labels, setting):
    with pytest.raises(DataError, match=f"names {' and '.join(setting)}, which are one class"):
        weigh_classes(split_of(labels), setting)
