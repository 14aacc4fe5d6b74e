"""The agenda: what is due after a step follows from numbers alone."""

import itertools

import pytest
from helpers.jobs import make_job

from dpnet.parallel.step_sums import NOTHING, Requests, Sums
from dpnet.training import agenda
from dpnet.training.agenda import NOTHING_DUE, Intervals, due

EVERY = Intervals(report=4, evaluate=6, save=5, compare_replicas=10, find_stragglers=8, epoch=9)
QUIET = Sums(samples=64, weight=64, loss=1.0, hits=3)


def steps_with(name, every=EVERY, total_steps=23, sums=QUIET):
    return [step for step in range(1, total_steps + 1) if getattr(due(step, total_steps, every, sums), name)]


def test_everything_falls_on_its_interval_and_what_is_kept_on_the_last_step_too():
    assert steps_with("report") == [4, 8, 12, 16, 20, 23]
    assert steps_with("evaluate") == [6, 12, 18, 23]
    assert steps_with("save") == [5, 10, 15, 20, 23]
    assert steps_with("compare_replicas") == [10, 20]
    assert steps_with("find_stragglers") == [8, 16]
    assert steps_with("epoch") == [9, 18, 23]
    assert steps_with("check") == []


def test_what_fell_on_a_step_between_two_meetings_is_due_at_the_second():
    met = {step: due(step, 23, EVERY, QUIET, span) for step, span in ((7, 7), (14, 7), (15, 1), (21, 6), (22, 1))}
    assert {name: [step for step in met if getattr(met[step], name)] for name in EVERY._fields} == {
        "report": [7, 14, 21],
        "evaluate": [7, 14, 21],
        "save": [7, 14, 15, 21],
        "compare_replicas": [14, 21],
        "find_stragglers": [14, 21],
        "epoch": [14, 21],
    }
    assert met[22] is NOTHING_DUE


@pytest.mark.parametrize("name", ["report", "evaluate", "save", "compare_replicas", "find_stragglers", "epoch"])
def test_an_interval_of_0_is_never_even_at_the_end(name):
    assert steps_with(name, EVERY._replace(**{name: 0})) == []


def test_a_rank_that_asks_for_a_checkpoint_or_cannot_write_one_is_heard_at_once():
    asked = due(7, 23, EVERY, QUIET._replace(saves=1))
    assert (asked.save, asked.check, asked.evaluate, asked.report) == (True, False, False, False)
    failing = due(7, 23, EVERY, QUIET._replace(failures=1))
    assert (failing.save, failing.check) == (False, True)


def test_intervals_are_those_of_the_job(tmp_path):
    job = make_job(tmp_path, {"resilience.digest_every": 30})
    assert agenda.intervals(job, 12, evaluates=True, several_nodes=True) == Intervals(4, 7, 5, 30, 100, 12)
    assert agenda.intervals(job, 12, evaluates=False, several_nodes=False) == Intervals(4, 0, 5, 0, 100, 12)


def test_a_job_without_intervals_in_steps_or_seconds_writes_no_checkpoint(tmp_path):
    settings = {"checkpoint.every_steps": None}
    for key, value, expected in (("every_steps", 3, True), ("every_seconds", 5, True), ("every_epochs", 0, False)):
        job = make_job(tmp_path, {**settings, f"checkpoint.{key}": value})
        assert agenda.saves_checkpoints(job, 12) is expected


def test_requests_are_one_object_where_nothing_is_asked():
    assert agenda.requests(save=False, stop=False, fail=False) is NOTHING
    for save, stop, fail in list(itertools.product([False, True], repeat=3))[1:]:
        assert agenda.requests(save=save, stop=stop, fail=fail) == Requests(save, stop, fail)


def test_a_step_after_which_nothing_is_due_is_one_object():
    nothing = [step for step in range(1, 24) if due(step, 23, EVERY, QUIET) is NOTHING_DUE]
    assert nothing == [1, 2, 3, 7, 11, 13, 14, 17, 19, 21, 22]
    assert not any(NOTHING_DUE)


def test_a_training_stops_for_a_signal_at_once_and_for_lost_ranks_at_a_checkpoint():
    stop = QUIET._replace(stops=1)
    for restarts, at_checkpoint in itertools.product([False, True], repeat=2):
        assert agenda.why_stop(stop, restarts=restarts, at_checkpoint=at_checkpoint) == agenda.SIGNAL
        why = agenda.why_stop(QUIET, restarts=restarts, at_checkpoint=at_checkpoint)
        assert bool(why) == (restarts and at_checkpoint)
