"""Signals to `dpnet launch`, caught while its ranks run."""

from __future__ import annotations

import os
import queue
import signal
import time
from types import FrameType, TracebackType
from typing import Any

from dpnet.resilience.signals import let_through

ASK = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""Signals that ask the job to end; the last one comes when the terminal is closed, and is ignored under nohup."""
CAUGHT = (*ASK, signal.SIGINT, signal.SIGCHLD)


class Signals:
    """Queues the signals to this process, instead of their usual effect, while the context is entered.

    Args:
        job_control: Ctrl-Z is one of them.
    """

    def __init__(self, *, job_control: bool = False) -> None:
        self._numbers = (*CAUGHT, signal.SIGTSTP) if job_control else CAUGHT
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        # An ignored signal stays ignored, as SIGINT is for a background job of a shell script.
        caught = [number for number in self._numbers if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._put) for number in caught}
        let_through()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _put(self, number: int, frame: FrameType | None) -> None:
        self._queue.put(number)

    def get(self, timeout_s: float) -> int | None:
        """The next signal; None: none came in time."""
        try:
            return self._queue.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    def wait(self, seconds: float) -> int | None:
        """Wait; if a signal asks this process to end, return the signal at once."""
        end = time.monotonic() + seconds
        while (number := self.get(end - time.monotonic())) is not None:
            if number == signal.SIGTSTP:
                os.kill(os.getpid(), signal.SIGSTOP)
            elif number != signal.SIGCHLD:
                return number
        return None
