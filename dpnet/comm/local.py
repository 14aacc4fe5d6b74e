"""The world of one rank, which needs no MPI library."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn, TypeVar

from dpnet.comm.group import InFlight, Member, Message
from dpnet.compute.arrays import Vector

T = TypeVar("T")


class _Arrived:
    """Messages that have arrived."""

    def progress(self) -> None:
        """Nothing to move."""

    def wait(self) -> None:
        """Nothing to wait for."""


class LocalGroup:
    """One rank, a world of its own: there is nobody to wait for and nothing to send."""

    rank = 0
    world_size = 1
    survives_losses = False
    library = thread_level = ""
    lost: Sequence[Member] = ()

    def __init__(self) -> None:
        self.host = socket.gethostname()

    @property
    def node(self) -> LocalGroup:
        """The group itself."""
        return self

    def shrink(self) -> None:
        """Nobody can be lost."""

    def conclude(self) -> None:
        """Nobody to agree with."""

    def leave(self) -> None:
        """Nobody to wait for."""

    def barrier(self) -> None:
        """Nobody to wait for."""

    def broadcast(self, value: T) -> T:
        """The value, unchanged."""
        return value

    def allgather(self, value: T) -> list[T]:
        """The value, the only one."""
        return [value]

    def exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> None:
        """Copy what this rank sends to itself."""
        for (_, sent), (_, received) in zip(sends, receives, strict=True):
            received[:] = sent

    def begin_exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> InFlight:
        """As `exchange`: it is over at once."""
        self.exchange(sends, receives)
        return _Arrived()

    def allgather_into(self, vector: Vector, counts: Sequence[int]) -> None:
        """Nothing to do: the vector is complete."""

    def allreduce(self, vector: Vector) -> None:
        """The sum of one vector."""

    def gather_into(self, part: Vector, whole: Vector | None, counts: Sequence[int]) -> None:
        """Copy the only part."""
        assert whole is not None
        whole[: counts[0]] = part

    def abort(self, exit_code: int) -> NoReturn:
        """End this process without cleaning up, as MPI's abort does."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
