"""Signals that end a training after the current step: a scheduler's notice that its time is up, or Ctrl-C.

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
from collections.abc import Callable, Sequence
from types import FrameType

SAME_SIGNAL_S = 2.0
"""Signals within so many seconds count as one: schedulers and launchers signal every process, some of them twice."""
SAME_INTERRUPT_S = 0.5
"""The same for Ctrl-C, which a terminal and a launcher may both pass on; who presses it twice means it."""
HELD_BACK = frozenset({signal.SIGUSR1, signal.SIGUSR2})
"""Signals that schedulers send, at any moment, and that would kill a process which is not ready for them yet."""
STOPPING = "stopping after this step, with a checkpoint"
STOPPING_FOR_CTRL_C = f"Ctrl-C: {STOPPING}; Ctrl-C again ends at once"


def hold_back() -> None:
    """Leave HELD_BACK pending until `let_through`: imports and the start of MPI take seconds, on a busy host more.

    For the main thread, and those that it starts meanwhile.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)


def let_through() -> None:
    """Take the signals that `hold_back` has left pending, and all that follow; call in the main thread."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


class StopSignals:
    """Records signals while the context is entered, in the main thread; in another thread Python allows no handlers.

    Args:
        names: of the signals.
        tell: shows a sentence to whoever waits for the end.

    Attributes:
        received: name of the first signal that came; "": none came.
    """

    def __init__(self, names: Sequence[str], tell: Callable[[str], None] = lambda text: None) -> None:
        self.received = ""
        self._tell = tell
        self._names = {int(getattr(signal, name)): name for name in names}
        self._first_s = 0.0
        self._old: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._inlet, self._outlet = socket.socketpair()
            self._outlet.setblocking(False)
            self._old_descriptor = signal.set_wakeup_fd(self._outlet.fileno(), warn_on_full_buffer=False)
            if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
                self._names.pop(signal.SIGHUP, None)  # nohup: the training is to outlive its terminal.
            self._old = {number: signal.signal(number, _nothing) for number in self._names}
            # Python runs handlers in the main thread, which may sit in MPI and wait for a lost rank; hence a thread.
            threading.Thread(target=self._read, daemon=True).start()
            let_through()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._old:
            for number, handler in self._old.items():
                signal.signal(number, handler)  # type: ignore[arg-type]  # It was returned by signal.signal.
            signal.set_wakeup_fd(self._old_descriptor)
            self._outlet.close()  # The thread reads the end of the stream and returns.

    def catch_interrupts(self) -> None:
        """From now on Ctrl-C counts as one of the signals: there is something that a checkpoint can keep.

        Only in place of Python's own handler: a background job of a shell script ignores the signal, and a program may
        have a handler of its own.
        """
        if self._old and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._names[signal.SIGINT] = signal.SIGINT.name
            self._old[signal.SIGINT] = signal.signal(signal.SIGINT, _nothing)

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
            if number == signal.SIGINT:
                self._tell(STOPPING_FOR_CTRL_C)
            elif number == signal.SIGTERM:  # That is what Open MPI's mpirun makes of Ctrl-C.
                self._tell(f"SIGTERM: {STOPPING}")
        elif now - self._first_s > (SAME_INTERRUPT_S if number == signal.SIGINT else SAME_SIGNAL_S):
            os._exit(128 + number)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
