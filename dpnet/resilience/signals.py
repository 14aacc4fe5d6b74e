"""Signals that end a training after the step: a scheduler's way to say that its time is up.

Nothing happens when one comes but that it is written down. The training looks at each step, and all ranks stop together
(see `coordinator.py`). A second signal means that somebody cannot wait: the process ends at once, and as files are
written whole or not at all, none is left half-written.
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
"""Signals within so many seconds are one: schedulers and launchers tell every process, some of them twice."""


class StopSignals:
    """Listens while it is entered, in the main thread; elsewhere no signal can be listened to.

    Args:
        names: of the signals.

    Attributes:
        received: name of the first signal that came; empty: none.
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
            # Not in the handler: Python runs that in the main thread, which may sit in MPI and wait for a lost rank.
            threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._old:
            for number, handler in self._old.items():
                signal.signal(number, handler)  # type: ignore[arg-type]  # It comes from signal.signal.
            signal.set_wakeup_fd(self._old_descriptor)
            self._outlet.close()  # The thread reads the end.

    def _listen(self) -> None:
        with self._inlet:
            while came := self._inlet.recv(64):
                for number in came:
                    if number in self._names:
                        self._hear(number)

    def _hear(self, number: int) -> None:
        now = time.monotonic()
        if not self.received:
            self._first_s, self.received = now, self._names[number]
        elif now - self._first_s > SAME_SIGNAL_S:
            os._exit(128 + number)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
