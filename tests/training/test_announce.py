"""What a training prints before it starts."""

import pytest
from helpers.jobs import make_job, train

from dpnet.comm.local import LocalGroup
from dpnet.compute import threads
from dpnet.compute.backend import plain_backend
from dpnet.compute.cores import usage
from dpnet.compute.threads import threads_kept
from dpnet.nn.layout import Layout
from dpnet.training.announce import frozen_text, training_text
from dpnet.training.build import build_parts
from dpnet.training.prepare import open_data, prepare


@pytest.mark.parametrize(
    ("world_size", "share"), [(1, "128 on each rank"), (2, "64 on each rank"), (5, "25 or 26 on each rank")]
)
def test_what_is_trained_is_told(tmp_path, world_size, share):
    job, group = make_job(tmp_path), LocalGroup()
    source = open_data(job, group)
    setup = prepare(job, group, source, backend=plain_backend())
    parts = build_parts(setup, source)
    lines = training_text(setup, source, parts, world_size, 1).splitlines()
    assert f": {world_size} rank{'s' * (world_size > 1)} on 1 host, 1 thread a rank; " in lines[0]
    memory = "memory a copy of the parameters for each rank: there is one rank"
    assert lines[1:] == [
        "network 64-12-10, relu, 910 parameters; adamw",
        *([memory] if world_size > 1 else []),
        "data digits: 1,437 training samples, 360 test samples",
        f"36 steps of 128 samples, {share}; {tmp_path}",
    ]


def test_shards_are_told_where_they_are_reproducible(tmp_path, capsys):
    train(tmp_path, {"train.reproducible_shards": 5, "train.epochs": 1})
    assert f"12 steps of 128 samples, 5 shards; {tmp_path}\n" in capsys.readouterr().out


def test_a_warm_up_that_outlasts_the_training_is_told(tmp_path, capsys):
    train(tmp_path, {"schedule.warmup_steps": 36})
    assert (
        "note: schedule.warmup_steps is 36, and the training has 36 steps: it ends before the learning rate has grown "
        "to optimizer.learning_rate\n"
    ) in capsys.readouterr().out
    train(tmp_path / "shorter", {"schedule.warmup_steps": 35})
    assert "note:" not in capsys.readouterr().out


def test_a_wire_that_nothing_passes_through_is_told_and_changes_nothing(tmp_path, capsys):
    summaries = [train(tmp_path / wire, {"train.wire": wire, "train.epochs": 1}) for wire in ("float32", "bfloat16")]
    text = 'note: train.wire is "bfloat16", which has no effect: all ranks share the memory of one node\n'
    assert capsys.readouterr().out.count(text) == 1
    assert summaries[0]["digest"] == summaries[1]["digest"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"evaluate.metric": "loss"}, True),
        ({"evaluate.metric": "loss", "evaluate.every_steps": 0}, True),
        ({"evaluate.metric": "accuracy"}, False),
        ({"evaluate.metric": "loss", "data.validation": 0.1}, False),
    ],
    ids=str,
)
def test_a_metric_that_chooses_nothing_is_told(tmp_path, capsys, settings, told):
    train(tmp_path, {**settings, "train.epochs": 1})
    text = 'note: evaluate.metric is "loss", which chooses nothing without validation data (data.validation): it is '
    assert (text in capsys.readouterr().out) == told


def test_validation_samples_without_evaluations_are_told(tmp_path, capsys):
    train(tmp_path, {"evaluate.every_steps": 0, "data.validation": 0.1, "train.epochs": 1})
    out = capsys.readouterr().out
    assert "note: 144 validation samples without a use: evaluations are turned off\n" in out


@pytest.mark.parametrize(
    ("busy", "settings", "told"),
    [
        ([0.9, 0.7], {}, True),
        ([0.1, 0.2], {}, False),
        ([], {}, False),
        ([0.9, 0.9], {"train.threads": 2}, False),  # As the user wants it.
        ([0.9, 0.9], {"train.reproducible_shards": 2}, False),  # One thread.
    ],
    ids=str,
)
def test_a_rank_of_several_threads_beside_other_programs_is_told_what_is_faster(
    monkeypatch, tmp_path, capsys, busy, settings, told
):
    monkeypatch.setattr(threads, "threads_from_user", lambda: 2)
    monkeypatch.setattr(usage, "busy_shares", lambda cores, seconds: busy)
    with threads_kept():
        train(tmp_path, {"train.blas": "numpy", "train.epochs": 1, **settings})
    text = capsys.readouterr().out
    note = "note: other programs use 80% of 2 cores; threads then wait for each other at every step: train.threads=1"
    assert (note in text) == told
    assert ("other programs" in text) == told


@pytest.mark.parametrize(
    ("frozen", "trained", "line"),
    [
        (["0"], True, "layer 0 is frozen: 43 of 75 parameters are trained"),
        (["0", "4"], True, "layers 0, 4 are frozen: 25 of 75 parameters are trained"),
        (["2"], False, "layer 2 is frozen with initial parameters, which nothing has trained: 50 of 75 parameters are"),
    ],
)
def test_what_is_frozen_is_told_and_whether_it_was_ever_trained(frozen, trained, line):
    (text,) = frozen_text(Layout((7, 4, 5, 3), frozen), trained=trained)  # 32, 25 and 18 parameters.
    assert text.startswith(line)
    assert frozen_text(Layout((7, 4, 5, 3)), trained=trained) == []
