"""What the cores are doing is read from /proc/stat."""

import multiprocessing
import subprocess
import sys
import time

import pytest
from helpers.busy import busy

from dpnet.compute.cores import usage
from dpnet.compute.cores.available import core_set
from dpnet.compute.cores.usage import CoreTime, busy_shares, core_times, lack, used_s

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
    with busy([core]):
        deadline = time.monotonic() + 30  # A moment of other work may be seen before the program has started.
        while (shares := busy_shares([core], 0.3)) and shares[0] < 0.8 and time.monotonic() < deadline:
            pass
        assert shares[0] >= 0.8


@pytest.mark.skipif(not core_times(), reason="no /proc here")
def test_the_time_of_a_helper_counts_while_it_lives_and_after_it_was_waited_for():
    context = multiprocessing.get_context("fork")
    before, process = used_s(), context.Process(target=burn, args=(60,))
    process.start()
    deadline = time.monotonic() + 30
    while used_s([process.pid]) < before + 0.5 and time.monotonic() < deadline:
        time.sleep(0.05)
    seen = used_s([process.pid]) - used_s()
    process.kill()
    process.join()
    assert seen >= 0.4
    assert used_s([process.pid]) >= before + 0.4


@pytest.mark.skipif(lack() is None, reason="the kernel does not tell")
def test_a_thread_that_shares_its_core_lacks_it():
    core = min(core_set())
    code = (
        "import os, sys, time; from dpnet.compute.cores.usage import lack\n"
        "os.sched_setaffinity(0, {int(sys.argv[1])}); end = time.monotonic() + 60\n"
        "while lack().main < 0.2 and time.monotonic() < end: pass\n"
        "seen = lack(); print(seen.main >= 0.2, seen.all >= seen.main)"
    )
    with busy([core]):
        result = subprocess.run([sys.executable, "-c", code, str(core)], capture_output=True, text=True, check=False)
    assert result.stdout == "True True\n", result.stderr


@pytest.mark.parametrize("text", ["0 0 0", "", "1 2"])
def test_a_kernel_that_does_not_count_lack_is_no_proof_that_there_was_none(tmp_path, text):
    (tmp_path / "proc/self/task").mkdir(parents=True)
    (tmp_path / "proc/self/schedstat").write_text(f"{text}\n")
    assert lack(tmp_path) is None
    assert lack(tmp_path / "nowhere") is None
