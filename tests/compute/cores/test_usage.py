"""What the cores are doing is read from /proc/stat."""

import multiprocessing
import os
import time

import pytest

from dpnet.compute.cores import usage
from dpnet.compute.cores.available import core_set
from dpnet.compute.cores.usage import CoreTime, busy_shares, core_times

STAT = """cpu  9 9 9 9 9 9 9 9 0 0
cpu0 100 50 30 700 20 5 15 80 60 0
cpu3 0 0 0 1000 0 0 0 0 0 0
intr 12 0
ctxt 5
"""


def test_the_columns_are_added_up_and_guests_are_not_counted_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(usage, "TICKS_PER_S", 100)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(STAT)
    assert core_times(tmp_path) == {0: CoreTime(2.0, 7.2, 0.8), 3: CoreTime(0.0, 10.0, 0.0)}
    assert core_times(tmp_path)[0].whole == 10


def test_where_there_is_no_proc_nothing_is_known(tmp_path):
    assert core_times(tmp_path) == {}


def test_the_share_of_a_moment_is_busy_and_stolen_time(monkeypatch):
    readings = iter([{0: CoreTime(5, 5, 0), 1: CoreTime(1, 1, 1)}, {0: CoreTime(6, 8, 0), 1: CoreTime(2, 2, 3)}])
    monkeypatch.setattr(usage, "core_times", lambda: next(readings))
    assert busy_shares([0, 1, 7], 0) == [0.25, 0.75]


def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.mark.skipif(not core_times(), reason="no /proc/stat here")
def test_a_program_that_computes_is_seen_on_its_core():
    core = min(core_set())
    process = multiprocessing.get_context("spawn").Process(target=burn, args=(60,), daemon=True)
    process.start()
    try:
        os.sched_setaffinity(process.pid, {core})
        deadline = time.monotonic() + 30  # A moment of other work may be seen before the process has started.
        while (shares := busy_shares([core], 0.3)) and shares[0] < 0.8 and time.monotonic() < deadline:
            pass
        assert shares[0] >= 0.8
    finally:
        process.kill()
        process.join()
