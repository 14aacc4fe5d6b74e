"""Waiting for what nobody wakes a rank for."""

import time

import pytest

from dpnet.comm import patience
from dpnet.comm.patience import LONG_BYTES, POLLS, polls, wait_until


def true_after(calls):
    answers = iter([*[False] * (calls - 1), True])
    return lambda: next(answers)


def test_what_is_there_already_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(patience.time, "sleep", None)
    wait_until(true_after(1))


def test_a_rank_naps_longer_the_longer_it_waits(monkeypatch):
    clock, naps = [100.0], []

    def nap(seconds):
        naps.append(seconds)
        clock[0] += seconds

    def monotonic():
        clock[0] += 1e-5  # To ask takes a moment.
        return clock[0]

    monkeypatch.setattr(patience, "time", type("Clock", (), {"sleep": nap, "monotonic": monotonic}))
    wait_until(true_after(200))
    assert naps[0] == pytest.approx(patience.SPIN_S / patience.SHARE, rel=0.3)
    assert naps == sorted(naps)
    assert naps[-1] == patience.LONGEST_NAP_S


@pytest.mark.parametrize("number", [1, 7, POLLS])
def test_long_messages_are_moved_by_many_calls_between_two_naps(monkeypatch, number):
    naps, asked = [], []
    monkeypatch.setattr(patience.time, "sleep", naps.append)

    def done():
        asked.append(len(naps))
        return len(naps) == 20

    wait_until(done, number)
    assert [asked.count(nap) for nap in range(1, 20)] == [number] * 19
    assert polls(LONG_BYTES - 1) == 1
    assert polls(LONG_BYTES) == POLLS


def test_an_error_ends_the_wait():
    def lost():
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        wait_until(lost)


def test_a_long_wait_takes_no_core():
    end, used = time.monotonic() + 0.5, time.thread_time()
    wait_until(lambda: time.monotonic() > end)
    assert time.thread_time() - used < 0.2
