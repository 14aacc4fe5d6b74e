"""The writer is polite while nobody waits, keeps up a least pace beside anything, and is urgent when somebody waits."""

import os
import subprocess
import sys
import threading
import time

import pytest

from dpnet.checkpoint import pace as pace_module
from dpnet.checkpoint.pace import Pace

MEGABYTE = 1 << 20


def niceness():
    """Of the thread that calls this."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.fixture
def pace():
    made = Pace()
    made.run(lambda: None, 1 << 40)  # From now on it is far ahead of the least pace.
    return made


def priorities(pace, times=3):
    seen = []
    for _ in range(times):
        pace.run(lambda: seen.append(niceness()), MEGABYTE)
    return seen


def test_polite_while_nobody_waits_and_urgent_as_soon_as_somebody_does(pace):
    assert priorities(pace) == [19, 19, 19]
    pace.urgent.set()
    assert priorities(pace) == [niceness()] * 3
    pace.urgent.clear()
    assert priorities(pace) == [19, 19, 19]


def test_beside_busy_programs_it_keeps_up_the_least_pace(monkeypatch):
    # The polite thread gets no more than a megabyte in a fifth of a second.
    made = Pace()
    seen = []

    def work():
        seen.append(niceness())
        if seen[-1] == 19:
            time.sleep(0.2)

    began_s = time.monotonic()
    for _ in range(10):
        made.run(work, MEGABYTE)
    assert time.monotonic() - began_s < 2.0 / 1.3  # Ten polite megabytes would take two seconds.
    assert {19, niceness()} == set(seen)
    assert pace_module.LEAST_BYTES_PER_S == 10 * MEGABYTE


def test_an_error_of_the_work_is_raised(pace):
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            pace.run(lambda: (_ for _ in ()).throw(OSError("full")), 1)
        pace.urgent.set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become an ordinary user")
def test_an_ordinary_user_may_do_so_too():
    code = (
        "import os, sys; sys.path[:0] = sys.argv[1:]\n"
        "from checkpoint.test_pace import Pace, priorities\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "pace = Pace(); pace.run(lambda: None, 1 << 40)\n"
        "print(priorities(pace)); pace.urgent.set(); print(priorities(pace))\n"
    )
    command = [sys.executable, "-c", code, os.path.dirname(os.path.dirname(__file__))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[19, 19, 19]", str([niceness()] * 3)], done.stderr
