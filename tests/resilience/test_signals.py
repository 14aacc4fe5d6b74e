"""Signals that end a training: the first is recorded, its echo is not, and one that comes later ends the process."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from dpnet.resilience import signals
from dpnet.resilience.signals import SAME_INTERRUPT_S, SAME_SIGNAL_S, STOPPING_FOR_CTRL_C, StopSignals

TIMEOUT_S = 60


class Ended(Exception):
    """Stands in for the end of the process."""


@pytest.fixture
def clock(monkeypatch):
    """The time in a list; the end of the process is an exception."""
    now = [100.0]

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(signals.os, "_exit", end)
    return now


def test_a_signal_is_recorded_by_its_name_while_the_context_is_entered(monkeypatch):
    recorded, record = threading.Event(), StopSignals._record
    monkeypatch.setattr(StopSignals, "_record", lambda self, number: record(self, number) or recorded.set())
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)]
    with StopSignals(["SIGUSR1", "SIGUSR2"]) as stop:
        assert stop.received == ""
        os.kill(os.getpid(), signal.SIGUSR2)
        assert recorded.wait(TIMEOUT_S)
        assert stop.received == "SIGUSR2"
    assert [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)] == before
    assert signal.set_wakeup_fd(-1) == -1


EARLY = """
import os, signal, time
from dpnet.resilience.signals import HELD_BACK, StopSignals, hold_back

hold_back()
os.kill(os.getpid(), signal.SIGUSR1)  # It would end this process.
with StopSignals(["SIGUSR1"]) as stop:
    end = time.monotonic() + 60
    while not stop.received and time.monotonic() < end:
        time.sleep(0.01)
    assert stop.received == "SIGUSR1"
assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & HELD_BACK
"""


def test_a_signal_that_comes_before_its_time_is_recorded_then():
    # In a process of its own: the signal may go to any thread that does not hold it back.
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr


def test_another_signal_is_left_alone():
    before = signal.getsignal(signal.SIGUSR2)
    with StopSignals(["SIGUSR1"]):
        assert signal.getsignal(signal.SIGUSR2) == before


def test_nohup_holds():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals(["SIGUSR1", "SIGHUP"]) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert stop.received == ""
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_echo_of_a_signal_changes_nothing(clock):
    stop = StopSignals(["SIGUSR1", "SIGTERM"])
    for later_s in (0.0, SAME_SIGNAL_S / 2, SAME_SIGNAL_S):
        clock[0] = 100.0 + later_s
        stop._record(signal.SIGTERM if later_s else signal.SIGUSR1)
    assert stop.received == "SIGUSR1"


def test_a_second_signal_ends_the_process_as_that_signal_would(clock):
    stop = StopSignals(["SIGUSR1", "SIGTERM"])
    stop._record(signal.SIGUSR1)
    clock[0] += SAME_SIGNAL_S + 0.5
    with pytest.raises(Ended) as caught:
        stop._record(signal.SIGTERM)
    assert caught.value.args == (128 + signal.SIGTERM,)


def test_in_another_thread_there_are_no_handlers():
    before, seen = signal.getsignal(signal.SIGUSR1), []

    def work():
        with StopSignals(["SIGUSR1"]) as stop:
            seen.append((signal.getsignal(signal.SIGUSR1), stop.received))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(TIMEOUT_S)
    assert seen == [(before, "")]


def test_ctrl_c_counts_from_the_first_step_on_and_is_answered():
    told, answered = [], threading.Event()
    with StopSignals(["SIGUSR1"], lambda text: told.append(text) or answered.set()) as stop:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        stop.catch_interrupts()
        stop.catch_interrupts()  # Again after a loss.
        os.kill(os.getpid(), signal.SIGINT)
        assert answered.wait(TIMEOUT_S)
        assert stop.received == "SIGINT"
    assert told == [STOPPING_FOR_CTRL_C]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_ignores_ctrl_c_or_handles_it_keeps_its_handler():
    for handler in (signal.SIG_IGN, lambda number, frame: None):
        before = signal.signal(signal.SIGINT, handler)
        try:
            with StopSignals(["SIGUSR1"]) as stop:
                stop.catch_interrupts()
                assert signal.getsignal(signal.SIGINT) is handler
        finally:
            signal.signal(signal.SIGINT, before)


def test_ctrl_c_twice_ends_the_process_but_its_echo_does_not(clock):
    stop = StopSignals(["SIGUSR1"])
    stop._names[signal.SIGINT] = "SIGINT"
    stop._record(signal.SIGINT)
    clock[0] += SAME_INTERRUPT_S
    stop._record(signal.SIGINT)
    clock[0] += 0.1
    with pytest.raises(Ended) as caught:
        stop._record(signal.SIGINT)
    assert caught.value.args == (130,)
