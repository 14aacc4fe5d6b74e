"""Local SGD: K workers on one rank do what DiLoCo's algorithm, written out here, does with K networks."""

import dataclasses
import itertools

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
from dpnet.parallel.step_sums import Requests
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

NUM_SAMPLES, BATCH, CLASSES, WORKERS, EVERY, STEPS = 21, 8, 3, 3, 4, 10  # The third step has 5 samples.
INPUTS = np.random.default_rng(1).standard_normal((NUM_SAMPLES, 5))
SOURCE = DataSource("random", make_split(INPUTS, np.arange(NUM_SAMPLES) % CLASSES, "x", "y"), None)
RATE, MOMENTUM, WARMUP = 0.5, 0.8, 6
SETTINGS = {
    "model.hidden_layers": [6],
    "model.dtype": "float64",
    "train.global_batch_size": BATCH,
    "train.epochs": None,
    "train.steps": STEPS,
    "train.workers": WORKERS,
    "train.sync_every": EVERY,
    "train.kernels": "numpy",
    "optimizer.name": "sgd",
    "optimizer.momentum": MOMENTUM,
    "optimizer.learning_rate": RATE,
    "schedule.warmup_steps": WARMUP,
}


def make_parts(path, source=SOURCE, **more):
    job = make_job(path, {**SETTINGS, **more})
    setup = prepare(job, LocalGroup(), source, backend=plain_backend(), scaling=UNSCALED)
    return build_parts(setup, source)


def weighted(weights):
    split = make_split(INPUTS, SOURCE.train.labels, "x", "y", weights=weights)
    return dataclasses.replace(SOURCE, train=split)


def gradient(layout, params, ids, weights, divisor):
    """The gradient of the weighted sum of the losses of some samples over a divisor, and that sum."""
    grad = aligned_zeros(layout.size, np.float64)
    model = MLP(layout, "relu", max_rows=max(1, len(ids)), dtype=np.float64)
    logits = model.forward(np.ascontiguousarray(INPUTS[ids]), layout.views(params))
    of_samples = SOURCE.train.labels[ids]
    loss, _ = SoftmaxNLL(max(1, len(ids)), CLASSES, np.float64)(logits, of_samples, 1 / divisor, weights[ids])
    model.backward(logits, layout.views(grad))
    return grad, loss


def written_out(plan, layout, params, weights, eta, mu, clip_norm=0.0):
    """DiLoCo, algorithm 1: the parameters after each outer step, and the sums of losses before it."""
    theta, outer = params.copy(), np.zeros_like(params)
    local, momenta, losses = [theta.copy() for _ in range(WORKERS)], np.zeros((WORKERS, len(theta))), 0.0
    for step in range(STEPS):
        batch = plan.batch(step)
        for worker, ids in enumerate(np.split(batch, [len(batch) * w // WORKERS for w in range(1, WORKERS)])):
            grad, loss = gradient(layout, local[worker], ids, weights, weights[batch].sum() / WORKERS)
            losses += loss
            if clip_norm:
                grad *= min(1, clip_norm / (np.linalg.norm(grad) + 1e-6))
            momenta[worker] = MOMENTUM * momenta[worker] + grad
            local[worker] -= RATE * min(1, (step + 1) / WARMUP) * momenta[worker]
        if (step + 1) % EVERY == 0 or step + 1 == STEPS:
            outer_gradient = np.mean([theta - params for params in local], axis=0)
            outer = mu * outer + outer_gradient
            theta = theta - eta * (outer_gradient + mu * outer)
            local = [theta.copy() for _ in range(WORKERS)]
            yield theta.copy(), losses
            losses = 0.0


@pytest.mark.parametrize("clip_norm", [0.0, 0.3])
@pytest.mark.parametrize("weights", [np.ones(NUM_SAMPLES), np.random.default_rng(5).integers(1, 4, NUM_SAMPLES)])
@pytest.mark.parametrize(("eta", "mu"), [(0.7, 0.9), (1.0, 0.0)])
def test_the_workers_do_what_the_algorithm_says(tmp_path, weights, eta, mu, clip_norm):
    more = {"optimizer.outer_learning_rate": eta, "optimizer.outer_momentum": mu, "optimizer.clip_norm": clip_norm}
    parts = make_parts(tmp_path, weighted(weights), **more)
    expected = written_out(
        parts.plan, parts.layout, parts.state.params.copy(), weights.astype(float), eta, mu, clip_norm
    )
    met = []
    for step in range(STEPS):
        before = parts.state.params.copy()
        sums = parts.trainer.step(step)
        if sums is None:
            assert (parts.state.params == before).all()
            continue
        met.append(step + 1)
        params, losses = next(expected)
        np.testing.assert_allclose(parts.state.params, params, rtol=1e-12, atol=1e-14)
        assert sums.loss == pytest.approx(losses, rel=1e-12)
        first = met[-2] if len(met) > 1 else 0
        ids = np.concatenate([parts.plan.batch(taken) for taken in range(first, step + 1)])
        assert (sums.samples, sums.weight, sums.bad) == (len(ids), weights[ids].sum(), 0)
        assert parts.state.step == step + 1
    assert met == [4, 8, 10]


def test_meeting_in_every_step_and_averaging_is_data_parallelism(tmp_path):
    source = weighted(np.random.default_rng(5).integers(0, 4, NUM_SAMPLES))
    plain = {"optimizer.momentum": 0.0}
    average = {"train.sync_every": 1, "optimizer.outer_learning_rate": 1.0, "optimizer.outer_momentum": 0.0}
    local = make_parts(tmp_path / "local", source, **plain, **average)
    together = make_parts(tmp_path / "together", source, **plain, **{"train.workers": 0, "train.sync_every": 16})
    for step in range(STEPS):
        sums, expected = local.trainer.step(step), together.trainer.step(step)
        np.testing.assert_allclose(local.state.params, together.state.params, rtol=1e-12, atol=1e-14)
        assert sums.loss == pytest.approx(expected.loss, rel=1e-12)
        assert sums._replace(loss=0) == expected._replace(loss=0)


def test_a_batch_with_fewer_samples_than_workers_leaves_some_without_any(tmp_path):
    parts = make_parts(tmp_path, **{"train.global_batch_size": 5, "train.workers": 4, "train.sync_every": 5})
    assert parts.plan.batch_size(4) == 1
    sums = [parts.trainer.step(step) for step in range(5)]
    assert sums[-1].samples == NUM_SAMPLES
    assert not sums[-1].bad
    assert np.isfinite(parts.state.params).all()


def test_what_a_rank_asks_for_is_heard_at_the_next_meeting_and_counts_once(tmp_path):
    parts = make_parts(tmp_path)
    asked = Requests(save=True, fail=True)
    heard = [parts.trainer.step(step, asked if step == EVERY - 1 else Requests()) for step in range(2 * EVERY)]
    assert [sums and sums[-3:] for sums in heard] == [None] * 3 + [(1, 0, 1)] + [None] * 3 + [(0, 0, 0)]


def test_frozen_layers_stay_as_they_are(tmp_path):
    parts = make_parts(tmp_path, **{"model.hidden_layers": [6, 6], "model.freeze": ["0", "4"]})
    before = {name: array.copy() for name, array in parts.layout.named(parts.state.params).items()}
    for step in range(STEPS):
        parts.trainer.step(step)
    same = {name: (array == before[name]).all() for name, array in parts.layout.named(parts.state.params).items()}
    assert same == {name: not name.startswith("2.") for name in same}


def test_a_worker_leaves_out_a_step_with_a_number_that_is_not_finite_and_the_others_go_on(tmp_path):
    parts, spoilt = make_parts(tmp_path), make_parts(tmp_path)
    worker = spoilt.trainer._workers[1]
    loss, calls = worker._trainer.loss, itertools.count()

    def spoiling(logits, *rest):
        found = loss(logits, *rest)
        if next(calls) in (4, 5):  # The second worker in the second step, twice: once more to find out where.
            logits[0, 0] = np.inf
        return found

    for trainer in (each._trainer for each in spoilt.trainer._workers):
        trainer.loss = spoiling
    with np.errstate(all="ignore"):
        expected, sums = ([each.trainer.step(step) for step in range(EVERY)][-1] for each in (parts, spoilt))
    assert (expected.bad, sums.bad) == (0, 1)
    assert parts.trainer.bad == []
    assert spoilt.trainer.bad == [
        f"worker 1, step 2: gradient of layer 2, sample {spoilt.plan.shard(1, 1)[0]} of the training data"
    ]
    assert np.isfinite(spoilt.state.params).all()
    assert (spoilt.state.params != parts.state.params).any()
    assert sums.samples == expected.samples == sum(parts.plan.batch_size(step) for step in range(EVERY))
    for step in range(EVERY, 2 * EVERY):
        spoilt.trainer.step(step)
    assert spoilt.trainer.bad == []
