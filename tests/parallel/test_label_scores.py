"""Scores of several labels against scikit-learn's, whatever the pieces that the sums are made in."""

import numpy as np
import pytest

from dpnet.nn.losses.binary_nll import BinaryNLL
from dpnet.parallel.label_scores import OfLabels, counts_of
from dpnet.parallel.scores import measure_text

metrics = pytest.importorskip("sklearn.metrics")


def sums_of(logits, targets, weights=None, pieces=1):
    scorer = OfLabels(BinaryNLL(len(logits), logits.shape[1], np.float64), logits.shape[1])
    w = np.ones(len(logits)) if weights is None else weights
    parts = zip(*(np.array_split(of, pieces) for of in (logits.copy(), targets, w)), strict=True)
    sums = [scorer.sums(of_z, of_t, None if weights is None else of_w) for of_z, of_t, of_w in parts]
    assert {len(one) for one in sums} == {scorer.num_sums}
    return scorer, np.sum(sums, axis=0).tolist()


def given(labels=4, rows=37):
    rng = np.random.default_rng(0)
    logits, targets = 2 * rng.standard_normal((rows, labels)), rng.random((rows, labels)) < 0.4
    return logits + targets, targets, rng.integers(0, 3, rows) * 0.3


@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", [1, 4])
def test_they_are_those_of_scikit_learn(labels, weighted, pieces):
    logits, targets, weights = given(labels)
    weights = weights if weighted else None
    scorer, sums = sums_of(logits, targets, weights, pieces)
    scores, said = scorer.scores(sums, 37), logits > 0
    how = {"sample_weight": weights, "zero_division": 0}
    # Of a single label as of the positive class, which average=None gives beside the other.
    of_all = (targets, said) if labels > 1 else (targets[:, 0], said[:, 0])
    each = {
        name: getattr(metrics, f"{name}_score")(*of_all, average=None, **how)[-labels:]
        for name in ("precision", "recall", "f1")
    }
    assert scores.macro_f1 == pytest.approx(each["f1"].mean(), rel=1e-12)
    if labels > 1:
        assert scores.micro_f1 == pytest.approx(metrics.f1_score(*of_all, average="micro", **how), rel=1e-12)
    assert scores.subset_accuracy == pytest.approx(metrics.accuracy_score(*of_all, sample_weight=weights), rel=1e-12)
    p = 1 / (1 + np.exp(-logits))
    losses = [metrics.log_loss(targets[:, k], p[:, k], sample_weight=weights) for k in range(labels)]
    assert scores.loss == pytest.approx(np.mean(losses), rel=1e-9)
    assert (scores.samples, scores.accuracy, scores.r2) == (37, None, None)
    counts = counts_of(sums)
    for name, expected in each.items():
        np.testing.assert_allclose(getattr(counts, name), expected, rtol=1e-12)
    np.testing.assert_allclose(counts.support, (targets * (1 if weights is None else weights[:, None])).sum(0))


def test_a_label_that_no_sample_has_and_that_is_never_predicted_enters_macro_f1_as_0():
    logits, targets, _ = given(3)
    logits[:, 1], targets[:, 1] = -1, False
    scorer, sums = sums_of(logits, targets)
    expected = metrics.f1_score(targets, logits > 0, average="macro", zero_division=0)
    assert scorer.scores(sums, 37).macro_f1 == pytest.approx(expected, rel=1e-12)
    counts = counts_of(sums)
    assert (counts.precision[1], counts.recall[1], counts.f1[1]) == (0, 0, 0)


def test_without_any_label_there_is_no_division_by_0():
    scorer, sums = sums_of(np.full((5, 2), -1.0), np.zeros((5, 2), bool))
    scores = scorer.scores(sums, 5)
    assert (scores.micro_f1, scores.macro_f1, scores.subset_accuracy) == (0, 0, 1)


def test_a_logit_that_is_no_number_shows_in_the_loss():
    logits, targets, _ = given(2)
    logits[3, 1] = np.nan
    with np.errstate(invalid="ignore"):
        scorer, sums = sums_of(logits, targets)
    assert scorer.scores(sums, 37).not_finite == "loss"


def test_f1_is_shown_as_a_number_and_subset_accuracy_in_percent():
    assert measure_text("micro_f1", 0.98765) == "micro F1 0.9877"
    assert measure_text("macro_f1", 0.98765, digits=6) == "macro F1 0.987650"
    assert measure_text("subset_accuracy", 0.98765) == "subset accuracy 98.77%"
