"""Where a number that is not finite came from, and what follows a step that met one."""

import numpy as np
import pytest
from helpers.jobs import make_job

from dpnet.comm.local import LocalGroup
from dpnet.compute.backend import plain_backend
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.errors import DivergenceError
from dpnet.resilience.nonfinite import error, origin, reaction
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

HOST = "node7"


@pytest.mark.parametrize(
    ("on_nonfinite", "skipped_in_a_row", "expected"),
    [
        ("raise", 1, "raise"),
        ("skip", 1, "skip"),
        ("rollback", 1, "rollback"),
        ("raise", 4, "raise"),
        ("skip", 3, "skip"),
        ("rollback", 3, "rollback"),
        ("skip", 4, "raise"),
        ("rollback", 4, "raise"),
    ],
)
def test_what_the_configuration_asks_for_follows_until_it_has_happened_too_often(
    on_nonfinite, skipped_in_a_row, expected
):
    assert reaction(on_nonfinite, skipped_in_a_row=skipped_in_a_row, max_skips=3) == expected


def test_the_error_says_what_where_and_what_to_do():
    found = error("the loss", "rank 1 on node7: input", step=12, skipped_in_a_row=1, learning_rate=0.05)
    assert isinstance(found, DivergenceError)
    assert found.agreed
    assert str(found).startswith("the loss of step 12 is not finite: rank 1 on node7: input. Lower ")
    assert "optimizer.learning_rate (0.05)" in str(found)
    again = error("a parameter", step=12, skipped_in_a_row=5, learning_rate=0.05)
    assert str(again).startswith("a parameter of step 12 is not finite, as in 5 steps in a row. Lower ")


@pytest.fixture(params=[False, True])
def rows(request):
    """The rows of 50 that are trained on, if not all of 40 are."""
    return np.arange(40) + 10 if request.param else None


@pytest.fixture
def trainer(tmp_path, rows):
    """Takes steps of 15, 15 and 10 samples, with two layers."""
    inputs = np.random.default_rng(0).standard_normal((40 if rows is None else 50, 5)).astype(np.float32)
    split = make_split(inputs, np.arange(len(inputs)) % 3, "x", "y")
    source = DataSource("random", split if rows is None else split.part(rows), None)
    settings = {"model.hidden_layers": [6], "train.global_batch_size": 15, "train.epochs": 1}
    job = make_job(tmp_path, settings)
    setup = prepare(job, LocalGroup(), source, backend=plain_backend(), scaling=UNSCALED)
    made = build_parts(setup, source).trainer
    made.inputs = inputs  # The data set reads them in every step.
    return made


class TwoRanks(LocalGroup):
    """This rank is number 1; nothing is wrong on the other one."""

    def __init__(self):
        super().__init__()
        self.host = HOST

    def allgather(self, value):
        return [("node6", []), value]


def test_a_bad_input_is_named_with_its_rank_and_sample(trainer):
    step = 2
    sample = int(trainer.feed.numbers(trainer.plan.shard(step, 0))[4])
    assert origin(trainer, TwoRanks(), step) == ""
    trainer.inputs[sample, 3] = np.nan
    assert origin(trainer, TwoRanks(), step) == f"rank 1 on {HOST}: input, sample {sample} of the training data"
    assert origin(trainer, TwoRanks(), 1) == ""


def test_a_bad_parameter_is_named_with_its_layer(trainer):
    trainer.state.layers[1][0][0, 0] = np.inf
    assert origin(trainer, TwoRanks(), 0) == f"rank 1 on {HOST}: parameters of layer 2"


def test_numbers_that_overflow_in_a_layer_are_named_with_their_layer_and_samples(trainer):
    sample = int(trainer.feed.numbers(trainer.plan.shard(0, 0))[4])
    trainer.inputs[sample] = 3e38
    trainer.state.layers[0][0][:] = 3.0
    assert (
        origin(trainer, TwoRanks(), 0) == f"rank 1 on {HOST}: output of layer 1, sample {sample} of the training data"
    )


def test_no_more_than_ten_samples_are_named(trainer):
    trainer.inputs[:] = np.nan
    named = ", ".join(str(sample) for sample in trainer.feed.numbers(trainer.plan.shard(0, 0))[:10])
    expected = f"rank 1 on {HOST}: input, samples {named} and 5 more of the training data"
    assert origin(trainer, TwoRanks(), 0) == expected


def test_a_bad_gradient_is_named_with_its_layer_and_sample(trainer, monkeypatch):
    loss, sample = trainer.loss, int(trainer.feed.numbers(trainer.plan.shard(2, 0))[4])

    def spoiling(logits, labels, scale, weights):
        result = loss(logits, labels, scale, weights)
        logits[4, 0] = np.inf
        return result

    monkeypatch.setattr(trainer, "loss", spoiling)
    expected = f"rank 1 on {HOST}: gradient of layer 2, sample {sample} of the training data"
    assert origin(trainer, TwoRanks(), 2) == expected
