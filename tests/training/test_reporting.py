"""Reporting turns progress into events; only rank 0 has sinks for them."""

import json

import pytest

from dpnet.comm.local import LocalGroup
from dpnet.config.model import METRICS
from dpnet.output.events import EpochTaken
from dpnet.output.run_directory import RunDirectory
from dpnet.parallel.plan import Plan
from dpnet.parallel.step_sums import Sums
from dpnet.training.progress import Progress
from dpnet.training.reporting import Reporting

PLAN = Plan(100, 40, seed=0, num_shards=1)  # Steps of 40, 40 and 20.


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_made_of_sums(tmp_path, monkeypatch):
    clock = iter([10.0, 10.0, 10.0, 12.0, 12.0])
    monkeypatch.setattr("dpnet.training.reporting.time.perf_counter", lambda: next(clock))
    reporting = Reporting(LocalGroup(), RunDirectory(tmp_path, keep_last=1), "none", "validation")
    reporting.open(PLAN, Progress(step=2), total_steps=9)
    progress = Progress(step=4, samples=60, weight=60, loss=30.0, hits=45)
    reporting.steps_taken(progress, 0.125)
    progress.eval_loss, progress.eval_accuracy, progress.eval_samples = 0.5, 0.75, 8
    reporting.evaluated(progress)
    reporting.close()
    place = {"step": 4, "epoch": 1.4}
    assert rows(tmp_path / "metrics.jsonl") == [
        {**place, "loss": 0.5, "accuracy": 0.75, "learning_rate": 0.125, "samples_per_s": 30.0},
        {**place, "eval_loss": 0.5, "eval_accuracy": 0.75, "eval_samples": 8, "eval_split": "validation"},
    ]


def test_another_rank_writes_nothing(tmp_path, capsys):
    group = LocalGroup()
    group.broadcast = lambda value: (None, None)  # What rank 0 sends when all is well.
    group.rank = 1
    reporting = Reporting(group, RunDirectory(tmp_path, keep_last=1), "plain", "validation")
    reporting.open(PLAN, Progress(step=2), total_steps=9)
    reporting.steps_taken(Progress(step=4, samples=60, weight=60, loss=30.0, hits=45), 0.125)
    reporting.note("hello")
    reporting.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_the_console_is_a_sink_beside_the_file(tmp_path, capsys):
    reporting = Reporting(LocalGroup(), RunDirectory(tmp_path, keep_last=1), "plain", "validation")
    reporting.open(PLAN, Progress(step=2), total_steps=9)
    reporting.note("hello")
    reporting.steps_taken(Progress(step=4, samples=60, weight=60, loss=30.0, hits=45), 0.125)
    reporting.close()
    reporting.note("too late")
    assert capsys.readouterr().out.splitlines()[0] == "hello"
    assert len(rows(tmp_path / "metrics.jsonl")) == 1


class Recorded:
    def __init__(self):
        self.events = []

    def write(self, event):
        self.events.append(event)

    def close(self):
        pass


def test_the_loss_of_an_epoch_is_that_of_all_its_samples_and_of_no_others(tmp_path, monkeypatch):
    """Rows of the curve begin and end anywhere: here after 3, 5 and 9 steps; epochs end after 3, 6 and 9."""
    reporting, sink = Reporting(LocalGroup(), RunDirectory(tmp_path, keep_last=1), "none", "validation"), Recorded()
    monkeypatch.setattr("dpnet.training.reporting.make_consoles", lambda *arguments: [sink])
    begun = Progress(step=2, samples=80, weight=80, loss=7.0, hits=70)  # From a checkpoint within an epoch.
    reporting.open(PLAN, begun, total_steps=9)
    losses, progress = {3: 10.0, 4: 20.0, 5: 40.0, 6: 50.0, 7: 1.0, 8: 2.0, 9: 4.0}, begun
    for step, loss in losses.items():
        progress.add_step(Sums(samples := 20 if step % 3 == 0 else 40, samples, loss=loss, hits=step))
        if step in (3, 5, 9):
            reporting.steps_taken(progress, 0.1)
            progress.clear_sums()
        if step == 6:
            progress.eval_loss, progress.eval_accuracy, progress.eval_samples = 0.5, 0.75, 8
            reporting.evaluated(progress)
        elif step % 3 == 0:
            reporting.epoch_taken(progress)
    reporting.close()
    taken = [event for event in sink.events if isinstance(event, EpochTaken)]
    assert [(event.step, event.epoch) for event in taken] == [(3, 1.0), (6, 2.0), (9, 3.0)]
    assert [event.loss for event in taken] == [10.0 / 20, 110.0 / 100, 7.0 / 100]
    assert [event.accuracy for event in taken] == [3 / 20, 15 / 100, 24 / 100]
    assert [event.since for event in taken] == [2, 0, 0]
    assert [event.eval_scores for event in taken] == [{}, {"loss": 0.5, "accuracy": 0.75}, {}]


@pytest.mark.parametrize(
    ("task", "metric", "shown"),
    [
        ("classification", "accuracy", "accuracy"),
        ("classification", "loss", "accuracy"),
        ("regression", "mae", "mae"),
        ("regression", "loss", "r2"),
        ("multilabel", "loss", "micro_f1"),
        ("multilabel", "subset_accuracy", "subset_accuracy"),
    ],
)
def test_the_line_of_an_epoch_has_the_score_that_chooses_the_best(tmp_path, monkeypatch, task, metric, shown):
    sink, run_dir = Recorded(), RunDirectory(tmp_path, keep_last=1)
    reporting = Reporting(LocalGroup(), run_dir, "none", "validation", task, metric)
    monkeypatch.setattr("dpnet.training.reporting.make_consoles", lambda *arguments: [sink])
    reporting.open(PLAN, Progress(), total_steps=9)
    scores = {f"eval_{name}": 0.1 * place for place, name in enumerate(METRICS[task])}
    reporting.evaluated(Progress(step=3, samples=3, weight=3, eval_samples=8, **scores))
    reporting.close()
    assert sink.events[-1].eval_scores == {"loss": scores["eval_loss"], shown: scores[f"eval_{shown}"]}


def test_an_epoch_without_a_good_step_has_no_line(tmp_path, monkeypatch):
    reporting, sink = Reporting(LocalGroup(), RunDirectory(tmp_path, keep_last=1), "none", "validation"), Recorded()
    monkeypatch.setattr("dpnet.training.reporting.make_consoles", lambda *arguments: [sink])
    reporting.open(PLAN, Progress(), total_steps=9)
    reporting.epoch_taken(Progress(step=3, skipped=3))
    reporting.close()
    assert sink.events == []
