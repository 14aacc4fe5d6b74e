"""How progress counts steps and judges evaluations."""

import json

import pytest

from dpnet.config.job import EvaluateConfig
from dpnet.errors import CheckpointError
from dpnet.parallel.scores import Scores
from dpnet.parallel.step_sums import Sums
from dpnet.training.progress import Progress


def judged(values, **how):
    """(is the best, evaluations waited) after each evaluation; each value is both the loss and the accuracy."""
    progress, results = Progress(), []
    for value in values:
        progress.step += 5
        scores = Scores(loss=value, accuracy=value, samples=3)
        progress.add_evaluation(scores)
        is_best = progress.choose(scores, EvaluateConfig(**{"metric": "accuracy", **how}))
        results.append((is_best, progress.evaluations_waited))
    return results, progress


def test_steps_add_up():
    progress = Progress(step=3)
    progress.add_step(Sums(samples=4, weight=4, loss=2.0, hits=3))
    progress.add_step(Sums(samples=2, weight=2, loss=0.5, hits=0))
    assert (progress.step, progress.samples, progress.loss, progress.hits) == (5, 6, 2.5, 3)
    progress.clear_sums()
    assert (progress.step, progress.samples, progress.loss, progress.hits) == (5, 0, 0.0, 0)


def test_skipped_steps_are_in_a_row_until_a_good_one_beyond_the_last_of_them():
    progress, good, bad = Progress(), Sums(4, 4, 1.0, 2), Sums(4, 4, 1.0, 2, bad=1)
    for sums, expected in [(good, (0, 0, -1)), (bad, (1, 1, 2)), (bad, (2, 2, 3)), (good, (2, 0, 3)), (bad, (3, 1, 5))]:
        progress.add_step(sums)
        assert (progress.skipped, progress.skipped_in_a_row, progress.bad_step) == expected
    assert (progress.samples, progress.loss, progress.hits) == (8, 2.0, 4)


def test_good_steps_that_are_taken_again_after_a_rollback_do_not_end_the_row():
    later = Progress(step=5, seconds=9.0, skipped=3, skipped_in_a_row=2, bad_step=5, learning_rate_scale=0.5)
    progress = Progress(step=3, seconds=1.0)
    progress.take_over_skips(later, 0.25)
    assert (progress.step, progress.seconds, progress.skipped, progress.learning_rate_scale) == (3, 9.0, 3, 0.125)
    in_a_row = []
    for _ in range(3):
        progress.add_step(Sums(4, 4, 1.0, 2))
        in_a_row.append(progress.skipped_in_a_row)
    assert in_a_row == [2, 2, 0]


def test_a_higher_accuracy_is_better_and_an_equal_one_is_not():
    results, progress = judged([0.5, 0.7, 0.7, 0.6, 0.8], metric="accuracy")
    assert results == [(True, 0), (True, 0), (False, 1), (False, 2), (True, 0)]
    assert (progress.best_step, progress.best_value, progress.eval_step) == (25, 0.8, 25)


def test_a_lower_loss_is_better():
    results, progress = judged([0.5, 0.7, 0.5, 0.4, 0.45], metric="loss")
    assert results == [(True, 0), (False, 1), (False, 2), (True, 0), (False, 1)]
    assert (progress.best_step, progress.best_value, progress.eval_loss) == (20, -0.4, 0.45)


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_slow_steady_progress_counts_as_soon_as_it_adds_up_to_min_delta(metric):
    sign = 1 if metric == "accuracy" else -1
    values = [0.5 + sign * change for change in (0, 0.0625, 0.125, 0.1875, 0.21875, 0.25)]
    results, progress = judged(values, metric=metric, min_delta=0.0625)
    assert results == [(True, 0), (True, 1), (True, 0), (True, 1), (True, 0), (True, 1)]
    assert (progress.best_step, progress.best_value) == (30, sign * values[-1])
    assert (progress.best_loss, progress.best_accuracy) == (values[-1], values[-1])


def test_the_progress_of_an_earlier_dpnet_is_read_and_its_best_score_follows_from_its_metric():
    _, progress = judged([0.5, 0.75, 0.625])
    earlier = progress.to_dict()
    for name in ("best_loss", "best_accuracy", "reference_value"):
        del earlier[name]
    found = Progress.from_dict(earlier)
    assert (found.best_loss, found.best_accuracy, found.reference_value) == (None, None, 0.75)
    found.complete_best("accuracy")
    assert (found.best_loss, found.best_accuracy) == (None, 0.75)
    _, progress = judged([0.5, 0.75])
    earlier = {name: value for name, value in progress.to_dict().items() if name in earlier}
    assert Progress.from_dict(earlier) == progress


def test_it_survives_json_to_the_bit():
    progress = Progress(step=7, seconds=0.1, samples=3, weight=2.5, loss=1 / 3, hits=2)
    scores = Scores(loss=2 / 3, accuracy=0.7, samples=9)
    progress.add_evaluation(scores)
    progress.choose(scores, EvaluateConfig(metric="accuracy"))
    assert Progress.from_dict(json.loads(json.dumps(progress.to_dict()))) == progress
    assert Progress.from_dict(json.loads(json.dumps(Progress().to_dict()))) == Progress()


def test_a_checkpoint_of_a_dpnet_without_weights_can_be_read():
    kept = Progress(step=7, samples=3, loss=1.5, hits=2).to_dict()
    del kept["weight"]
    assert Progress.from_dict(kept) == Progress(step=7, samples=3, weight=3, loss=1.5, hits=2)


@pytest.mark.parametrize("name", Progress().to_dict())
def test_what_is_missing_or_of_another_type_is_named(name):
    good = Progress().to_dict()
    for value in ("7", True, [], {}):
        with pytest.raises(CheckpointError, match=name):
            Progress.from_dict({**good, name: value})
    del good["samples" if name == "weight" else name]  # It follows from the samples: see above.
    with pytest.raises(CheckpointError, match="samples" if name == "weight" else name):
        Progress.from_dict(good)


def test_what_is_unknown_is_named():
    with pytest.raises(CheckpointError, match="novelty"):
        Progress.from_dict({**Progress().to_dict(), "novelty": 1})


def test_an_evaluation_without_scores_is_refused():
    with pytest.raises(CheckpointError, match="scores of its evaluation at step 3"):
        Progress.from_dict({**Progress().to_dict(), "eval_step": 3})


def test_the_best_can_be_forgotten():
    _, progress = judged([0.5, 0.4])
    progress.forget_best()
    assert (progress.best_step, progress.best_value, progress.evaluations_waited) == (-1, None, 0)
    assert (progress.best_loss, progress.best_accuracy, progress.reference_value) == (None, None, None)
    assert progress.eval_accuracy == 0.4
