"""The group of one rank. It needs no MPI library."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn, TypeVar

from dpnet.arrays import Vector

T = TypeVar("T")


class LocalGroup:
    """One rank: there is nobody to wait for and nothing to send."""

    rank = 0
    world_size = 1
    local_rank = 0
    local_world_size = 1

    def __init__(self) -> None:
        self.host = socket.gethostname()

    def barrier(self) -> None:
        """Nobody to wait for."""

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value

    def allgather(self, value: T) -> list[T]:
        """The value alone."""
        return [value]

    def exchange(self, send: Vector, sent: Sequence[slice], receive: Vector, received: Sequence[slice]) -> None:
        """Copy the only piece."""
        receive[received[0]] = send[sent[0]]

    def allgather_into(self, vector: Vector, counts: Sequence[int]) -> None:
        """The vector is complete."""

    def gather_into(self, part: Vector, whole: Vector | None, counts: Sequence[int]) -> None:
        """Copy the only part."""
        assert whole is not None
        whole[: counts[0]] = part

    def abort(self, exit_code: int) -> NoReturn:
        """End this process without cleaning up, as MPI's abort does."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
