"""Scores of classes are scikit-learn's, exactly where they are counts."""

import math

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.data.classes import Classes
from dpnet.errors import ConfigError
from dpnet.inference import tally as tally_module
from dpnet.inference.details import Details, area_under_roc
from dpnet.inference.exact_sums import ExactWeights
from dpnet.inference.tally import Tally

TOLERANCE = 1e-12
CASES = {  # classes, those with samples, rows, decimals of the logits: few make ties.
    "two classes": (2, 2, 80, 9),
    "two classes with ties": (2, 2, 80, 0),
    "ten classes": (10, 10, 300, 9),
    "a class without samples": (7, 6, 100, 9),
    "samples of one class": (4, 1, 30, 9),
    "one sample": (9, 9, 1, 9),
}


def drawn(case):
    """(labels, logits) of a classifier that errs now and then."""
    classes, occurring, rows, decimals = CASES[case]
    generator = np.random.default_rng(rows)
    labels = generator.integers(0, occurring, rows)
    logits = generator.standard_normal((rows, classes))
    logits[np.arange(rows), labels] += 1
    return labels, logits.round(decimals)


def tallied(labels, logits, *, top_k=None, block=16):
    tally = Tally(Classes(np.arange(logits.shape[1])), top_k)
    for first in range(0, len(labels), block):
        tally.add(logits[first : first + block], labels[first : first + block])
    return tally.total(LocalGroup(), 0.5)


def close(value):
    return pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Of classes that occur on one side only.
@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_scikit_learn(case):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, logits = drawn(case)
    every, guesses = np.arange(logits.shape[1]), logits.argmax(axis=1)
    found = tallied(labels, logits)
    assert found.confusion.tolist() == metrics.confusion_matrix(labels, guesses, labels=every).tolist()
    scores = metrics.precision_recall_fscore_support(labels, guesses, labels=every, zero_division=0)
    for name, expected in zip(("precision", "recall", "f1", "support"), scores, strict=True):
        assert getattr(found, name).tolist() == close(expected.tolist()), name
    assert found.balanced_accuracy == close(metrics.balanced_accuracy_score(labels, guesses))
    assert found.macro_f1 == close(metrics.f1_score(labels, guesses, average="macro", zero_division=0))


@pytest.mark.parametrize("case", ["two classes", "two classes with ties"])
def test_the_area_under_the_curve_is_that_of_scikit_learn(case):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, logits = drawn(case)
    margins = logits[:, 1] - logits[:, 0]
    assert (len(np.unique(margins)) < len(margins)) == (case == "two classes with ties")
    assert tallied(labels, logits).auc == close(metrics.roc_auc_score(labels, margins))


@pytest.mark.parametrize("top_k", [1, 2, 3, 6])
def test_top_k_accuracy_is_that_of_scikit_learn(top_k):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, logits = drawn("a class without samples")
    expected = metrics.top_k_accuracy_score(labels, logits, k=top_k, labels=np.arange(7))
    assert tallied(labels, logits, top_k=top_k).top_k_accuracy == close(expected)


def test_the_scores_of_a_small_example_are_those_worked_out_by_hand():
    #       label 0      label 0      label 1      label 1
    logits = [[2, 1, 0], [0, 3, 0], [1, 4, 0], [0, 9, 0.0]]
    found = tallied(np.array([0, 0, 1, 1]), np.array(logits), top_k=2)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert found.support.tolist() == [2, 2, 0]
    assert found.predicted.tolist() == [1, 3, 0]
    assert found.recall.tolist() == [0.5, 1, 0]
    assert found.precision.tolist() == [1, 2 / 3, 0]
    assert found.f1.tolist() == [2 / 3, 4 / 5, 0]
    assert found.balanced_accuracy == 0.75  # Of the classes 0 and 1: 2 has no sample.
    assert found.macro_f1 == close((2 / 3 + 4 / 5) / 2)
    assert found.top_k_accuracy == 1  # Of the logits 0 and 0 in the second row, that of the label comes first.
    assert found.auc is None


def test_of_equal_logits_the_first_counts_as_larger():
    same = np.zeros((3, 3))
    found = {k: tallied(np.arange(3), same, top_k=k).top_k_hits for k in (1, 2)}
    assert found == {1: 1, 2: 2}
    assert tallied(np.arange(3), same).hits.sum() == found[1]


@pytest.mark.parametrize(
    ("negatives", "positives", "area"),
    [
        ([1, 2], [3], 1),
        ([3], [1, 2], 0),
        ([5, 5], [5, 5, 5], 0.5),
        ([1, 2, 2, 3], [2, 4], (1 + 2 / 2 + 4) / 8),
        ([1.0], [], None),
        ([], [1.0], None),
    ],
)
def test_pairs_count_once_and_ties_half(negatives, positives, area):
    assert area_under_roc(np.array(negatives, float), np.array(positives, float)) == area


def test_the_area_tells_apart_what_probabilities_in_float32_do_not():
    # Both probabilities of class 1 round to 1.
    logits = np.array([[0, 30], [0, 40]], np.float32)
    assert tallied(np.array([0, 1]), logits).auc == 1


@pytest.mark.parametrize(("classes", "top_k"), [(1, None), (5, None), (6, 5), (100, 5)])
def test_the_top_five_are_looked_at_where_there_are_more_classes(classes, top_k):
    assert tallied(np.zeros(1, int), np.zeros((1, classes))).top_k == top_k


@pytest.mark.parametrize(("classes", "top_k"), [(3, 0), (3, 3), (1, 1), (10, 11)])
def test_a_top_k_accuracy_that_says_nothing_is_refused(classes, top_k):
    expected = f"top-k is {top_k}; expected at least 1 and less than the number of classes, which is {classes}"
    with pytest.raises(ConfigError, match=expected):
        Tally(Classes(np.arange(classes)), top_k)


def test_many_classes_have_scores_but_no_matrix(monkeypatch):
    labels, logits = drawn("ten classes")
    whole = tallied(labels, logits)
    monkeypatch.setattr(tally_module, "MAX_MATRIX", 9)
    found = tallied(labels, logits)
    assert whole.confusion is not None
    assert found.confusion is None
    assert found.f1.tolist() == whole.f1.tolist()
    assert found.top_k_hits == whole.top_k_hits
    assert found != whole


@pytest.mark.parametrize("case", CASES)
def test_the_size_of_a_block_changes_nothing(case):
    expected = tallied(*drawn(case))
    assert isinstance(expected, Details)
    assert all(tallied(*drawn(case), block=block) == expected for block in (1, 7, 1000))


def test_weights_of_all_sizes_are_added_exactly_in_any_order():
    generator = np.random.default_rng(1)
    weights = generator.random(1000) * 10.0 ** generator.integers(-3, 4, 1000)
    weights[:3] = 0, 1e30, 3.0
    for some in (weights[2:], np.array([1e30, 1e30]), np.array([2.0**-1000, 0.0]), np.arange(1, 9.0), weights):
        exact = ExactWeights(float(some.max()))
        parts = exact.cut(some)
        assert (parts == np.floor(parts)).all()
        assert parts.max() <= 2**20
        assert {float(exact.join(parts[:, order].sum(axis=1))) for order in (slice(None), slice(None, None, -1))} == {
            float(exact.join(parts.sum(axis=1)))
        }
        assert float(exact.join(parts.sum(axis=1))) == pytest.approx(math.fsum(some), rel=1e-15)
    assert ExactWeights(7.0).join(ExactWeights(7.0).cut(np.arange(8.0)).sum(axis=1)) == 28


def test_a_weighted_area_counts_a_pair_as_the_product_of_its_weights():
    negatives, positives = np.array([1.0, 2, 2, 3]), np.array([2.0, 4])
    repeats, others = np.array([2, 0, 1, 3]), np.array([1, 2])
    expected = area_under_roc(np.repeat(negatives, repeats), np.repeat(positives, others))
    assert area_under_roc(negatives, positives, repeats * 1.0, others * 1.0) == expected
    assert area_under_roc(negatives, positives, np.zeros(4), np.ones(2)) is None
