"""The stacks of a process whose interpreter cannot run any more, for another one on its host.

Asked by a signal, the process writes them to a file in memory, wherever it is: what runs then is C code of
faulthandler, in the thread that the kernel interrupts. (A timer of faulthandler would do it in a thread of its own,
next to those whose stacks it reads; it crashed processes that were stopped for long and then continued.)
"""

from __future__ import annotations

import faulthandler
import functools
import os
import signal
import time
from pathlib import Path

SIGNAL = signal.SIGRTMIN + 12
"""Nobody else's, as far as is known: not the C library's (the first two), and no MPI library's."""
ANSWER_S = 1.0
POLL_S = 0.02


@functools.cache
def ready() -> int:
    """Be ready to be asked from now on; returns the descriptor of the file that answers go to."""
    descriptor = os.memfd_create("dpnet-stacks")
    faulthandler.register(SIGNAL, file=descriptor, all_threads=True)
    return descriptor


def ask(pid: int, descriptor: int) -> bytes:
    """The stacks of another process; empty if it does not answer, or has ended.

    Args:
        pid: of a process that is ready, and not stopped: it would answer as soon as it is continued, to nobody.
        descriptor: what its `ready` returned.
    """
    path = Path(f"/proc/{pid}/fd/{descriptor}")
    try:
        seen = before = path.stat().st_size
        os.kill(pid, SIGNAL)
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end:
            time.sleep(POLL_S)
            size = path.stat().st_size
            if size == seen > before:  # It has grown, and does so no longer.
                break
            seen = size
        return path.read_bytes()[before:]
    except OSError:
        return b""
