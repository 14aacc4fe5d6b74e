"""Reporting turns progress into events; only rank 0 has sinks for them."""

import json

from dpnet.comm.local import LocalGroup
from dpnet.output.run_directory import RunDirectory
from dpnet.parallel.plan import Plan
from dpnet.training.progress import Progress
from dpnet.training.reporting import Reporting

PLAN = Plan(100, 40, seed=0, num_shards=1)  # Steps of 40, 40 and 20.


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_made_of_sums(tmp_path, monkeypatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr("dpnet.training.reporting.time.perf_counter", lambda: next(clock))
    reporting = Reporting(LocalGroup(), RunDirectory(tmp_path, keep_last=1), "none")
    reporting.open(PLAN, step=2, total_steps=9)
    progress = Progress(step=4, samples=60, loss=30.0, hits=45)
    reporting.steps_taken(progress, 0.125)
    progress.eval_loss, progress.eval_accuracy, progress.eval_samples = 0.5, 0.75, 8
    reporting.evaluated(progress)
    reporting.close()
    place = {"step": 4, "epoch": 1.4}
    assert rows(tmp_path / "metrics.jsonl") == [
        {**place, "loss": 0.5, "accuracy": 0.75, "learning_rate": 0.125, "samples_per_s": 30.0},
        {**place, "eval_loss": 0.5, "eval_accuracy": 0.75, "eval_samples": 8},
    ]


def test_another_rank_writes_nothing(tmp_path, capsys):
    group = LocalGroup()
    group.broadcast = lambda value: (None, None)  # What rank 0 sends when all is well.
    group.rank = 1
    reporting = Reporting(group, RunDirectory(tmp_path, keep_last=1), "plain")
    reporting.open(PLAN, step=2, total_steps=9)
    reporting.steps_taken(Progress(step=4, samples=60, loss=30.0, hits=45), 0.125)
    reporting.note("hello")
    reporting.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_the_console_is_a_sink_beside_the_file(tmp_path, capsys):
    reporting = Reporting(LocalGroup(), RunDirectory(tmp_path, keep_last=1), "plain")
    reporting.open(PLAN, step=2, total_steps=9)
    reporting.note("hello")
    reporting.steps_taken(Progress(step=4, samples=60, loss=30.0, hits=45), 0.125)
    reporting.close()
    reporting.note("too late")
    assert capsys.readouterr().out.splitlines()[0] == "hello"
    assert len(rows(tmp_path / "metrics.jsonl")) == 1
