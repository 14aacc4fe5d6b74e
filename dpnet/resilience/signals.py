"""Signals that end a training after the current step: a scheduler's notice that its time is up.

The signal itself is only recorded. The training checks for it in each step, and all ranks stop after the same one. A
second signal means that somebody cannot wait: the process ends at once. Since files are written whole or not at all,
none is left half-written.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from types import FrameType

SAME_SIGNAL_S = 2.0
"""Signals within so many seconds count as one: schedulers and launchers signal every process, some of them twice."""


class StopSignals:
    """Records signals while the context is entered, in the main thread; in another thread Python allows no handlers.

    Args:
        names: of the signals.

    Attributes:
        received: name of the first signal that came; "": none came.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.received = ""
        self._names = {int(getattr(signal, name)): name for name in names}
        self._first_s = 0.0
        self._old: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._inlet, self._outlet = socket.socketpair()
            self._outlet.setblocking(False)
            self._old_descriptor = signal.set_wakeup_fd(self._outlet.fileno(), warn_on_full_buffer=False)
            self._old = {number: signal.signal(number, _nothing) for number in self._names}
            # Python runs handlers in the main thread, which may sit in MPI and wait for a lost rank; hence a thread.
            threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._old:
            for number, handler in self._old.items():
                signal.signal(number, handler)  # type: ignore[arg-type]  # It was returned by signal.signal.
            signal.set_wakeup_fd(self._old_descriptor)
            self._outlet.close()  # The thread reads the end of the stream and returns.

    def _read(self) -> None:
        with self._inlet:
            while came := self._inlet.recv(64):
                for number in came:
                    if number in self._names:
                        self._record(number)

    def _record(self, number: int) -> None:
        now = time.monotonic()
        if not self.received:
            self._first_s, self.received = now, self._names[number]
        elif now - self._first_s > SAME_SIGNAL_S:
            os._exit(128 + number)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
