"""What is measured of nodes."""

from types import SimpleNamespace

import pytest
from helpers.jobs import make_job

from dpnet.comm.local import LocalGroup
from dpnet.training.estimate import measure
from dpnet.training.estimate.case import Load

STEP_S = 0.01


class Two(LocalGroup):
    """The first of two nodes; the other takes twice as long, or says something else."""

    def allgather(self, value):
        return [value, [2 * one if isinstance(one, float) else f"the other: {one}" for one in value]]


class Taken:
    """Steps that take no time: which were asked for. Every second time a step takes ten times as long."""

    def __init__(self):
        self.steps = []

    def __call__(self, parts, group, first, number):
        assert isinstance(group, LocalGroup)
        self.steps.append((first, number))
        return number * STEP_S * (10 if len(self.steps) == 4 else 1)


@pytest.fixture
def taken(monkeypatch):
    found = Taken()
    monkeypatch.setattr(measure, "take_steps", found)
    pace = SimpleNamespace(contended=lambda: ["others"])
    monkeypatch.setattr(measure, "build_parts", lambda setup, source: SimpleNamespace(stragglers=pace))
    return found


def step_s(path, group, load, **train):
    job = make_job(path, {f"train.{key}": value for key, value in train.items()})
    setup = measure.Setup(job, group, None, None, None)
    return measure._step_s(setup, None, load, 1.21)


def test_the_slowest_node_counts_and_of_its_rounds_the_median(tmp_path, taken):
    assert step_s(tmp_path, LocalGroup(), Load(False, 0, 64)) == (pytest.approx(STEP_S), ["others"])
    found, told = step_s(tmp_path, Two(), Load(False, 0, 64))
    assert found == pytest.approx(2 * STEP_S)
    assert told == ["others", "the other: others"]


def test_steps_go_on_where_the_ones_before_ended(tmp_path, taken):
    step_s(tmp_path, LocalGroup(), Load(False, 0, 64))
    assert taken.steps == [(0, 2), (2, 2), (4, 40), (44, 40), (84, 40)]


def test_workers_take_all_steps_to_their_next_synchronisation(tmp_path, taken):
    step_s(tmp_path, LocalGroup(), Load(True, 2, 64), workers=2, sync_every=16)
    assert [number for _, number in taken.steps] == [16, 16, 48, 48, 48]
