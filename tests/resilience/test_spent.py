"""How a rank spends its time is read from its whereabouts and from the system."""

import time

import pytest

from dpnet.compute.cores.available import core_set
from dpnet.compute.cores.usage import CoreTime, Lack
from dpnet.resilience import spent
from dpnet.resilience.spent import Spent, spent_so_far
from dpnet.whereabouts import BACKWARD, CHECKPOINT, DATA, EVALUATION, FORWARD, REPORT, START, Whereabouts


@pytest.fixture
def here(monkeypatch):
    made = Whereabouts()
    monkeypatch.setattr(spent, "HERE", made)
    monkeypatch.setattr(spent, "used_s", lambda helpers=(): 5.0 + 2 * len(helpers))
    monkeypatch.setattr(spent, "core_times", lambda: {n: CoreTime(1, 2, 3) for n in range(4)})
    monkeypatch.setattr(spent, "throttled_s", lambda: 7.0)
    monkeypatch.setattr(spent, "lack", lambda: Lack(1.5, 2.5))
    return made


def test_time_outside_of_steps_is_told_from_time_in_them(here):
    for phase, seconds in ((START, 64), (DATA, 1), (FORWARD, 2), (BACKWARD, 4), (EVALUATION, 8), (CHECKPOINT, 16)):
        here.seconds[phase] = seconds
    here.seconds[REPORT] = 32
    here.waited, here.waited_outside = 9, 3
    here.helpers.add(17)
    read = spent_so_far(frozenset({1, 3, 9}))
    assert (read.outside, read.waited, read.data, read.computing) == (64 + 8 + 16 + 32, 6, 1, 6)
    assert (read.lacked, read.all_lacked, read.used, read.helped) == (1.5, 2.5, 7, 2)
    assert (read.busy, read.idle, read.stolen, read.throttled) == (2, 4, 6, 7)
    assert read.working == max(0, read.elapsed - 120 - 6)


def test_one_rank_reads_for_a_machine(here):
    assert spent_so_far(frozenset())[-4:] == (0, 0, 0, 0)


def test_where_the_system_does_not_tell_whatever_was_not_computed_counts_as_lack(here, monkeypatch):
    monkeypatch.setattr(spent, "lack", lambda: None)
    before = spent_so_far(frozenset())
    time.sleep(0.2)
    since = spent_so_far(frozenset()).since(before)
    assert since.lacked == since.all_lacked == pytest.approx(since.elapsed, abs=0.1)


def test_a_real_reading_never_goes_back(here, monkeypatch):
    monkeypatch.undo()
    before = spent_so_far(core_set())
    since = spent_so_far(core_set()).since(before)
    assert min(since) >= 0
    assert Spent().since(before) == Spent()
