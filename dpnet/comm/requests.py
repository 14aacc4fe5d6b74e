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
        polls: see `patience.polls`.
    """

    def __init__(self, requests: Sequence[Request], waiting: AbstractContextManager[None], polls: int) -> None:
        self._requests, self._waiting, self._polls = list(requests), waiting, polls
        _IN_FLIGHT.add(self)

    def progress(self) -> None:
        """See InFlight.progress."""
        with self._waiting:
            self._requests = [request for request in self._requests if not request.Test()]

    def wait(self) -> None:
        """See InFlight.wait."""
        with self._waiting:
            for request in self._requests:  # Not Testall: see _IN_FLIGHT.
                wait_until(request.Test, self._polls)
        _IN_FLIGHT.discard(self)


_IN_FLIGHT: set[Requests] = set()
"""What has not been waited for to its end. When a rank is lost, that stays here, as MPI may still write to its buffers.

Its requests must not be freed either: when the failure of a freed one surfaces later, Open MPI 5.0 ends the job. Its
Waitall frees requests that failed; its Wait does not.
"""
