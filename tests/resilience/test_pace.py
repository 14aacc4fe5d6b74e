"""What slows a training down is told once, and only if it lasts."""

from types import SimpleNamespace

import pytest

from dpnet.comm.local import LocalGroup
from dpnet.resilience import pace
from dpnet.resilience.pace import WINDOWS, Findings, Pace
from dpnet.resilience.spent import Spent

LAST = WINDOWS - 1


def test_what_lasts_is_told_once_and_again_only_after_it_was_gone_for_as_long():
    findings = Findings()
    shown = "1111 0 11 000 111 1"
    told = [bool(findings.lasting({"a": "text"} if each == "1" else {})) for each in shown if each != " "]
    assert told == [each == "x" for each in "..x. . .. ... ..x .".replace(" ", "")]


def test_what_comes_and_goes_is_never_told():
    findings = Findings()
    for each in "110110101101":
        assert findings.lasting({"a": "text"} if each == "1" else {}) == []


def test_windows_that_say_nothing_about_it_neither_count_nor_end_it():
    findings, told = Findings(), []
    for each in "1?1??1?":
        told += findings.lasting({"a": "text"} if each == "1" else {}, unsure=["a"] if each == "?" else [])
    assert told == ["text"]


class Two(LocalGroup):
    """Rank 1 of two machines, or of one."""

    rank, world_size = 1, 2

    def __init__(self, other_host="node6"):
        self.host, self.other_host, self.other = "node7", other_host, Spent()

    def allgather(self, value):
        return [(self.other_host, value[1]), value]

    def allgather_into(self, vector, counts):
        vector[: counts[0]] = self.other if counts[0] > 1 else vector[counts[0] :]


@pytest.fixture
def windows(monkeypatch):
    """Feeds a Pace with what two ranks spent in windows of three seconds; returns what it told after each."""
    clock, mine, watched = [100.0], [Spent(elapsed=100.0)], []

    def reading(cores):
        watched.append(cores)
        return mine[0]

    monkeypatch.setattr(pace, "spent_so_far", reading)
    monkeypatch.setattr(pace, "core_set", lambda: frozenset({0, 1}))
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def run(group, spent, seconds=3.0):
        found, told = Pace(group), []
        for other, own in spent:
            clock[0] += seconds
            group.other = other._replace(elapsed=seconds)
            mine[0] = Spent(*(a + b for a, b in zip(mine[0], own, strict=True)))._replace(elapsed=clock[0])
            told.append(found.look())
        return told, watched

    return run


WAITS, WORKS = Spent(waited=2), Spent(waited=0.2, computing=2.5)


def test_a_rank_is_named_once_for_as_long_as_it_is_slow(windows):
    told, watched = windows(Two(), [(WAITS, WORKS)] * (WINDOWS + 2))
    text = (
        "rank 1 on node7 is slow: the others spent 67% of the last 3 s waiting for it (compute: 2.50 s, others 0.00 s)"
    )
    assert told == [""] * LAST + [text, "", ""]
    assert set(watched) == {frozenset({0, 1})}


def test_other_programs_are_told_of_and_no_rank(windows):
    busy = Spent(waited=0.1, lacked=1.5, all_lacked=1.5, used=1, busy=5, idle=1)
    told, watched = windows(Two("node7"), [(WAITS._replace(used=1, busy=5, idle=1), busy._replace(busy=0, idle=0))] * 4)
    text = "other programs use 50% of the 2 cores of node7: ranks wait for a core 25% of the time"
    assert told == [""] * LAST + [text, ""]
    assert set(watched) == {frozenset()}  # The first rank of a machine reads for all.


def test_of_one_measurement_every_machine_is_told_of_at_once(monkeypatch):
    so_far = iter([Spent(), Spent(elapsed=5), Spent(elapsed=7, lacked=1, used=1, busy=5, idle=1)])
    monkeypatch.setattr(pace, "spent_so_far", lambda cores: next(so_far))
    monkeypatch.setattr(pace, "core_set", lambda: frozenset({0, 1}))
    found = Pace(Two("node6"))
    assert found.contended() == []
    assert found.contended() == [
        "other programs use 67% of the 2 cores of node7: ranks wait for a core 50% of the time"
    ]


def test_a_rank_that_writes_a_checkpoint_is_not_judged_meanwhile(windows):
    told, _ = windows(Two(), [(WAITS, WORKS._replace(helped=1, used=1))] * 6)
    assert told == [""] * 6


def test_short_looks_are_added_up_to_a_window(windows):
    told, watched = windows(Two(), [(WAITS, WORKS)] * 8, seconds=0.5)
    assert told == [""] * 8
    assert len(watched) == 3  # At the beginning, and after two seconds, twice.


def test_a_training_of_half_a_second_names_nobody(windows):
    assert set(windows(Two(), [(WAITS, WORKS)] * 50, seconds=0.01)[0]) == {""}
