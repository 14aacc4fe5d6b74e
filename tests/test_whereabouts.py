"""The whereabouts of a rank: what it does now, and how much time it has spent in each phase."""

import pytest

from dpnet import whereabouts
from dpnet.whereabouts import BACKWARD, CHECKPOINT, COMMIT, EVALUATION, FORWARD, LENGTH, SINCE, STEP, Whereabouts


class Clock:
    def __init__(self):
        self.now, self.reads = 100.0, 0

    def monotonic(self):
        self.reads += 1
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(whereabouts, "time", made)
    return made


def take_steps(here, clock, first, number, unit_s):
    """Steps with one unit of time in forward, three in backward, one in commit."""
    for step in range(first, first + number):
        for phase, units in ((FORWARD, 1), (BACKWARD, 3), (COMMIT, 1)):
            here.enter(phase)
            clock.now += units * unit_s
        here.step_done(step + 1)


@pytest.mark.parametrize("unit_s", [0.01, 0.0001])
def test_the_seconds_of_every_phase_are_counted_or_estimated_where_steps_are_quick(clock, unit_s):
    here = Whereabouts()
    take_steps(here, clock, 1, 1, 0.01)  # It must first see how long a step takes.
    before = list(here.seconds)
    take_steps(here, clock, 2, 800, unit_s)
    spent = [after - earlier for after, earlier in zip(here.seconds, before, strict=True)]
    for phase, units in ((FORWARD, 1), (BACKWARD, 3), (COMMIT, 1)):
        assert spent[phase] == pytest.approx(800 * units * unit_s, rel=0.02)


def test_quick_steps_read_the_clock_once(clock):
    here = Whereabouts()
    take_steps(here, clock, 1, 1, 0.0001)
    clock.reads = 0
    take_steps(here, clock, 2, 80, 0.0001)
    assert clock.reads == 80 + 10 * 3


def test_what_is_no_step_is_always_timed(clock):
    here = Whereabouts()
    for step in range(1, 20):
        take_steps(here, clock, step, 1, 0.0001)
        here.enter(EVALUATION)
        clock.now += 7
        here.enter(CHECKPOINT)
        clock.now += 2
    here.enter(FORWARD)
    assert here.seconds[EVALUATION] == pytest.approx(19 * 7)
    assert here.seconds[CHECKPOINT] == pytest.approx(19 * 2)


def test_a_step_that_takes_long_after_quick_ones_is_there_since_the_last_of_them_at_most(clock):
    here = Whereabouts()
    row = memoryview(bytearray(8 * LENGTH)).cast("d")
    here.relocate(row)
    take_steps(here, clock, 1, 50, 0.0001)
    here.enter(FORWARD)
    assert row[STEP] == 51
    assert clock.now - row[SINCE] < whereabouts.SAMPLED * 0.0006


def test_waits_outside_of_steps_are_told_from_those_in_them(clock):
    here = Whereabouts()
    for phase, seconds in ((COMMIT, 3), (EVALUATION, 5), (FORWARD, 7)):
        here.enter(phase)
        here.wait(1)
        clock.now += seconds
        assert here.go_on() == seconds
    assert (here.waited, here.waited_outside) == (15, 5)
