"""The stacks of a process whose interpreter cannot run any more.

On a signal the process writes its stacks, whatever it is doing: the handler is C code of faulthandler, and runs in the
thread that the kernel interrupts. Another process of the host sends the signal, and reads the stacks from a file in
memory; without another process, a timer of the kernel sends it, and the stacks go to stderr. (faulthandler's own timer
reads the stacks of running threads from a thread of its own, which crashed processes that were stopped for long and
then continued.)
"""

from __future__ import annotations

import ctypes
import faulthandler
import functools
import os
import signal
import threading
import time
from pathlib import Path

SIGNAL, TIMER_SIGNAL = signal.SIGRTMIN + 12, signal.SIGRTMIN + 13
"""Not known to be used by anybody else: the C library uses the first two real-time signals, MPI libraries none."""
ANSWER_S = 1.0
POLL_S = 0.02


@functools.cache
def ready() -> int:
    """Answer the signal from now on; returns the descriptor of the file that the stacks are written to."""
    descriptor = os.memfd_create("dpnet-stacks")
    faulthandler.register(SIGNAL, file=descriptor, all_threads=True)
    return descriptor


def ask(pid: int, descriptor: int) -> bytes:
    """The stacks of another process; empty if the process does not answer, or has ended.

    Args:
        pid: of a process that has called `ready`, and is not stopped: a stopped one would answer once continued, to
            nobody.
        descriptor: what `ready` returned there.
    """
    path = Path(f"/proc/{pid}/fd/{descriptor}")
    try:
        seen = before = path.stat().st_size
        os.kill(pid, SIGNAL)
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end:
            time.sleep(POLL_S)
            size = path.stat().st_size
            if size == seen > before:  # The file has grown, and grows no longer.
                break
            seen = size
        return path.read_bytes()[before:]
    except OSError:
        return b""


def write_later(seconds: float) -> None:
    """Write the stack of the main thread to stderr after so many seconds, and no sooner; 0: never.

    A second call replaces the first. Only the main thread's stack is written: other threads may be running by then, if
    the process was stopped meanwhile.
    """
    whole = int(seconds)
    times = _Times(0, 0, whole, int((seconds - whole) * 1e9))
    _library().timer_settime(_timer(), 0, ctypes.byref(times), None)


class _Times(ctypes.Structure):
    """`struct itimerspec`: seconds and nanoseconds of the interval, and of the first expiry."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("interval_s", "interval_ns", "first_s", "first_ns"))


class _Event(ctypes.Structure):
    """`struct sigevent` of Linux, 64 bytes."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_int * 11),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "timer_create") else ctypes.CDLL("librt.so.1")  # Before glibc 2.34.


@functools.cache
def _timer() -> ctypes.c_void_p:
    faulthandler.register(TIMER_SIGNAL, file=2, all_threads=False)
    timer, to_thread = ctypes.c_void_p(), 4
    event = _Event(None, TIMER_SIGNAL, to_thread, threading.main_thread().native_id)
    status = _library().timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer))
    assert status == 0, "timer_create failed"
    return timer
