"""Requests: messages of MPI that are on their way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from dpnet.comm.patience import wait_until


class Request(Protocol):
    """A message of MPI: being sent, or being received."""

    def Test(self) -> bool:
        """Let MPI move bytes; whether the message is complete."""


class Requests:
    """Messages that are on their way. See group.InFlight.

    Args:
        requests: one for each message.
        waiting: records that this rank waits, and makes an error of MPI one of dpnet's.
    """

    def __init__(self, requests: Sequence[Request], waiting: AbstractContextManager[None]) -> None:
        self._requests, self._waiting = list(requests), waiting

    def progress(self) -> None:
        """See InFlight.progress."""
        with self._waiting:
            try:
                self._requests = [request for request in self._requests if not request.Test()]
            except BaseException:
                _ABANDONED.append(self._requests)
                raise

    def wait(self) -> None:
        """See InFlight.wait."""
        with self._waiting:
            try:
                for request in self._requests:  # Not Testall: see _ABANDONED.
                    wait_until(request.Test)
            except BaseException:
                _ABANDONED.append(self._requests)
                raise


_ABANDONED: list[list[Request]] = []
"""Messages that were in flight when a rank was lost, kept because MPI may still write to their buffers.

Their requests must not be freed either: when the failure of a freed one surfaces later, Open MPI 5.0 ends the job. Its
Waitall frees requests that failed; its Wait does not.
"""
