"""The group of all ranks, as the rest of dpnet sees it.

Every method but `abort` is collective: every rank calls it, in the same order, unconditionally.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, Protocol, TypeVar

from dpnet.arrays import Vector

T = TypeVar("T")


class Group(Protocol):
    """All ranks of a job."""

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""

    @property
    def world_size(self) -> int:
        """Number of ranks."""

    @property
    def local_rank(self) -> int:
        """Number of this rank among those of its node, from 0."""

    @property
    def local_world_size(self) -> int:
        """Number of ranks on this node."""

    @property
    def host(self) -> str:
        """Name of this node."""

    def barrier(self) -> None:
        """Return when every rank has called this."""

    def broadcast(self, value: T) -> T:
        """Rank 0's `value`, a small Python object, on every rank."""

    def allgather(self, value: T) -> list[T]:
        """The `value`, a small Python object, of every rank, in rank order, on every rank."""

    def exchange(self, send: Vector, sent: Sequence[slice], receive: Vector, received: Sequence[slice]) -> None:
        """Send a piece of one vector to every rank, and receive a piece of another from every rank.

        Args:
            send: (n,) what this rank sends from.
            sent: for every rank, the elements of `send` that it gets; may be none.
            receive: (m,) what this rank receives into.
            received: for every rank, the elements of `receive` that its piece overwrites.
        """

    def allgather_into(self, vector: Vector, counts: Sequence[int]) -> None:
        """Complete `vector` on every rank: each rank's own part, `counts[rank]` elements, is sent to all others.

        The parts lie in `vector` one after the other in rank order; this rank's is read, the others are overwritten.
        """

    def gather_into(self, part: Vector, whole: Vector | None, counts: Sequence[int]) -> None:
        """Put the parts of all ranks one after the other into `whole` on rank 0; None on the other ranks."""

    def abort(self, exit_code: int) -> NoReturn:
        """End all ranks now, whatever they are doing. Called by one rank."""
