"""Scores of numbers against scikit-learn's, whatever the pieces that the sums are made in."""

import numpy as np
import pytest

from dpnet.data.scaling import Scaling, fit_targets
from dpnet.nn.losses.regression import SquaredError
from dpnet.parallel.scores import OfNumbers, Scores, measure_text, scores_text

metrics = pytest.importorskip("sklearn.metrics")


def scores_of(targets, outputs, weights=None, pieces=1, origin=None):
    """Scores of outputs in the units of the targets, with the scaling that the targets have."""
    scaling = fit_targets(targets, None, "y")
    t, z = ((of - scaling.offset) * scaling.factor for of in (targets, outputs))
    scorer = OfNumbers(SquaredError(len(t), scaling.units), scaling, t[0] if origin is None else origin)
    parts = zip(
        *(np.array_split(of, pieces) for of in (z, t, np.ones(len(t)) if weights is None else weights)), strict=True
    )
    sums = [scorer.sums(of_z, of_t, None if weights is None else of_w) for of_z, of_t, of_w in parts]
    return scorer.scores(np.sum(sums, axis=0).tolist(), len(t))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_they_are_those_of_scikit_learn(outputs, pieces, weighted):
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((37, outputs)) * [3, 1e-3, 1e6][:outputs] + [5, 1e3, 0][:outputs]
    said = targets + rng.standard_normal((37, outputs)) * [1, 1e-3, 3e6][:outputs]
    weights = rng.integers(0, 3, 37).astype(float) if weighted else None
    scores = scores_of(targets, said, weights, pieces)
    assert scores.r2 == pytest.approx(metrics.r2_score(targets, said, sample_weight=weights), rel=1e-9)
    assert scores.mae == pytest.approx(metrics.mean_absolute_error(targets, said, sample_weight=weights), rel=1e-9)
    rmse = metrics.root_mean_squared_error(targets, said, sample_weight=weights)
    assert scores.rmse == pytest.approx(rmse, rel=1e-9)


def test_constant_targets_have_an_r2_of_1_where_they_are_met_and_else_of_0():
    targets = np.full((9, 1), 0.1)
    assert scores_of(targets, targets.copy()).r2 == metrics.r2_score(targets, targets) == 1
    assert scores_of(targets, targets + 0.01).r2 == 0
    one = np.full((1, 1), 3.0)
    assert (scores_of(one, one).r2, scores_of(one, one + 1).r2) == (1, 0)


def test_an_output_that_is_constant_enters_the_mean_over_outputs_as_0():
    rng = np.random.default_rng(1)
    targets = np.hstack([rng.standard_normal((9, 1)), np.full((9, 1), 7.0)])
    said = targets + 0.1
    assert scores_of(targets, said).r2 == pytest.approx(metrics.r2_score(targets, said), rel=1e-9)


def test_targets_far_from_0_and_close_together_lose_no_digits():
    rng = np.random.default_rng(2)
    targets = 1e9 + rng.standard_normal((50, 1))
    said = targets + 0.3
    # Scaled as other data that lie far away: without an origin among the targets, nothing would be left of R2.
    scaling = Scaling(np.zeros(1), np.ones(1))
    scorer = OfNumbers(SquaredError(50, scaling.units), scaling, targets[0])
    scores = scorer.scores(scorer.sums(said.copy(), targets, None), 50)
    assert scores.r2 == pytest.approx(metrics.r2_score(targets, said), rel=1e-6)


def test_errors_that_are_no_numbers_are_not_taken_for_targets_that_are_met():
    scaling = Scaling(np.zeros(1), np.ones(1))
    scores = OfNumbers(SquaredError(1, scaling.units), scaling, np.zeros(1)).scores([2.0, 1.0, 0, 0, np.nan, 1], 2)
    assert np.isnan(scores.r2)
    assert scores.not_finite == "RMSE"
    assert Scores(np.inf, 0.5, 3).not_finite == "loss"
    assert Scores(0.5, 0.5, 3).not_finite == ""


def test_targets_closer_than_float64_can_square_have_no_variance():
    targets = np.where(np.arange(40) % 2, 0.0, 1e-160)[:, np.newaxis]
    scaling = Scaling(np.zeros(1), np.ones(1))
    scorer = OfNumbers(SquaredError(40, scaling.units), scaling, targets[0])
    assert scorer.scores(scorer.sums(targets + 1, targets, None), 40).r2 == 0


def test_measures_in_words():
    assert measure_text("accuracy", 0.93204) == "accuracy 93.20%"
    assert measure_text("rmse", 12345678.9) == "RMSE 1.2346e+07"
    assert measure_text("loss", 1e250) == "loss 1e+250"
    assert measure_text("r2", -1234567.0) == "R2 -1.2346e+06"
    assert measure_text("mae", None) == "MAE unknown"
    assert scores_text({"loss": 0.25, "accuracy": 0.5}) == "accuracy 50.00%, loss 0.2500"
    scores = Scores(0.5, None, 3, r2=0.25, rmse=2.0, mae=1.5)
    assert scores_text(scores.measures, digits=6, between="  ") == "R2 0.250000  RMSE 2  MAE 1.5  loss 0.500000"
