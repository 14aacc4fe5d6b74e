"""A step on one rank: the mean gradient of its batch, taken once; whatever reduces the gradients of its shards."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from helpers.jobs import make_job

from dpnet.comm.local import LocalGroup
from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.backend import plain_backend
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.nn.network import MLP
from dpnet.parallel.reducer import REDUCERS
from dpnet.parallel.step_sums import Requests, Sums
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

NUM_SAMPLES, BATCH, CLASSES = 21, 8, 3  # The third step has 5 samples.
INPUTS = np.random.default_rng(1).standard_normal((NUM_SAMPLES, 5))
SOURCE = DataSource("random", make_split(INPUTS, np.arange(NUM_SAMPLES) % CLASSES, "x", "y"), None)
RATE, WARMUP = 0.5, 10
SETTINGS = {
    "model.hidden_layers": [6],
    "model.dtype": "float64",
    "train.global_batch_size": BATCH,
    "train.kernels": "numpy",
    "optimizer.name": "sgd",
    "optimizer.learning_rate": RATE,
    "schedule.warmup_steps": WARMUP,
}


def make_parts(path, source=SOURCE, **more):
    job = make_job(path, {**SETTINGS, **more})
    setup = prepare(job, LocalGroup(), source, backend=plain_backend(), scaling=UNSCALED)
    return build_parts(setup, source)


def alone(parts, step):
    """The sums of a step and the gradient of its mean loss, by one network for all its samples."""
    ids, grad = parts.plan.batch(step), aligned_zeros(parts.layout.size, np.float64)
    model = MLP(parts.layout, "relu", max_rows=len(ids), dtype=np.float64)
    logits = model.forward(INPUTS[ids], parts.state.layers)
    loss, hits = SoftmaxNLL(len(ids), CLASSES, np.float64)(logits, SOURCE.train.labels[ids], 1 / len(ids))
    model.backward(logits, parts.layout.views(grad))
    return Sums(len(ids), len(ids), loss, hits), grad


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("way", [*({"train.reducer": name} for name in REDUCERS), {"train.reproducible_shards": 7}])
def test_the_parameters_move_along_the_gradient_of_the_mean_over_all_samples(tmp_path, way, scale):
    parts = make_parts(tmp_path, **way)
    for step in range(4):
        (expected, grad), before = alone(parts, step), parts.state.params.copy()
        sums = parts.trainer.step(step, learning_rate_scale=scale)
        moved = RATE * (step + 1) / WARMUP * scale * grad
        np.testing.assert_allclose(parts.state.params, before - moved, rtol=1e-12, atol=1e-15)
        assert sums.loss == pytest.approx(expected.loss, rel=1e-13)
        assert sums._replace(loss=0) == expected._replace(loss=0)
        assert parts.state.step == step + 1


@pytest.mark.parametrize("way", [*({"train.reducer": name} for name in REDUCERS), {"train.reproducible_shards": 7}])
def test_a_sample_of_weight_three_counts_as_three_samples(tmp_path, way):
    weights = np.random.default_rng(5).integers(0, 4, NUM_SAMPLES)
    split = make_split(INPUTS, SOURCE.train.labels, "x", "y", weights=weights)
    parts = make_parts(tmp_path, dataclasses.replace(SOURCE, train=split), **way)
    for step in range(3):
        ids, grad = np.repeat(batch := parts.plan.batch(step), weights[batch]), aligned_zeros(parts.layout.size, float)
        model = MLP(parts.layout, "relu", max_rows=len(ids), dtype=np.float64)
        logits = model.forward(INPUTS[ids], parts.state.layers)
        loss, hits = SoftmaxNLL(len(ids), CLASSES, np.float64)(logits, SOURCE.train.labels[ids], 1 / len(ids))
        model.backward(logits, parts.layout.views(grad))
        before, sums = parts.state.params.copy(), parts.trainer.step(step)
        np.testing.assert_allclose(
            parts.state.params, before - RATE * (step + 1) / WARMUP * grad, rtol=1e-12, atol=1e-15
        )
        assert (sums.samples, sums.weight, sums.hits) == (len(batch), len(ids), hits)
        assert sums.loss == pytest.approx(loss, rel=1e-13)


def test_a_batch_that_weighs_nothing_moves_nothing(tmp_path):
    weights = np.ones(NUM_SAMPLES)
    parts = make_parts(tmp_path)
    weights[parts.plan.batch(1)] = 0
    split = make_split(INPUTS, SOURCE.train.labels, "x", "y", weights=weights)
    parts = make_parts(tmp_path, dataclasses.replace(SOURCE, train=split))
    parts.trainer.step(0)
    before = parts.state.params.copy()
    assert parts.trainer.step(1) == Sums(BATCH, 0, 0, 0)
    assert (parts.state.params == before).all()


def test_label_smoothing_enters_the_steps_and_no_scores(tmp_path):
    source = dataclasses.replace(SOURCE, test=SOURCE.train)
    plain, smoothed = (make_parts(tmp_path / str(e), source, **{"train.label_smoothing": e}) for e in (0.0, 0.3))
    scores, loss = plain.evaluator(plain.state.layers), plain.trainer.step(0).loss
    assert smoothed.evaluator(smoothed.state.layers) == scores
    assert smoothed.trainer.step(0).loss != loss
    assert (smoothed.state.params != plain.state.params).any()


@pytest.mark.parametrize("shards", [0, 4])
def test_what_a_rank_asks_for_counts_once_however_many_shards_it_has(tmp_path, shards):
    parts = make_parts(tmp_path, **{"train.reproducible_shards": shards})
    sums = parts.trainer.step(0, Requests(save=True, fail=True))
    assert (sums.saves, sums.stops, sums.failures) == (1, 0, 1)
    assert parts.trainer.step(1)[-3:] == (0, 0, 0)


@pytest.mark.parametrize("shard", [0, 2, 3])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_with_one_number_that_is_not_finite_is_left_out(tmp_path, monkeypatch, what, shard):
    parts = make_parts(tmp_path, **{"train.reproducible_shards": 4})
    loss, calls = parts.trainer.loss, itertools.count()

    def spoiling(logits, labels, scale, weights):
        value, hits = loss(logits, labels, scale, weights)
        if next(calls) == shard:
            logits[0, 0] = np.inf if what == "gradient" else logits[0, 0]
            value = math.nan if what == "loss" else value
        return value, hits

    monkeypatch.setattr(parts.trainer, "loss", spoiling)
    before = parts.state.params.tobytes()
    with np.errstate(invalid="ignore"):
        sums = parts.trainer.step(0)
    assert (sums.bad, sums.samples, math.isnan(sums.loss)) == (1, BATCH, what == "loss")
    assert parts.state.params.tobytes() == before
    assert parts.state.step == 1
    assert parts.trainer.step(1).bad == 0
    assert parts.state.params.tobytes() != before
