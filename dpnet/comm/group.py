"""A group of ranks, as the rest of dpnet sees it, and the world: all ranks, some of which may be lost.

Every method but `abort` is collective: every rank of the group calls it, in the same order, unconditionally.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar

import numpy.typing as npt

from dpnet.compute.arrays import Vector

T = TypeVar("T")
Message = tuple[int, npt.NDArray[Any]]
"""The other rank, and the vector that it gets or sends."""


@dataclass(frozen=True)
class Member:
    """A rank as it was when the job began.

    Attributes:
        rank: its number then.
        host: its host.
    """

    rank: int
    host: str


class InFlight(Protocol):
    """Messages that are on their way."""

    def progress(self) -> None:
        """Let MPI move bytes, now, and wait for nothing. Between long computations: no other thread moves them."""

    def wait(self) -> None:
        """Return once all messages have been sent and received."""


class Group(Protocol):
    """Some ranks of a job, numbered from 0: those of a node, or all.

    Where the group survives losses, any of its methods may raise WorkerLost.
    """

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""

    @property
    def world_size(self) -> int:
        """Number of ranks in the group."""

    @property
    def node(self) -> Group:
        """The ranks of this rank's node, in the same order; their numbers in the whole group are consecutive."""

    @property
    def host(self) -> str:
        """Name of this node."""

    @property
    def survives_losses(self) -> bool:
        """Whether the loss of a rank raises WorkerLost, after which `World.shrink` makes the world usable again."""

    def barrier(self) -> None:
        """Return when every rank has called this."""

    def broadcast(self, value: T) -> T:
        """Rank 0's `value`, a small Python object, on every rank."""

    def allgather(self, value: T) -> list[T]:
        """The `value`, a small Python object, of every rank, in rank order, on every rank."""

    def exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> None:
        """Send vectors to some ranks, and receive vectors from some.

        Args:
            sends: (rank, vector that it gets), contiguous.
            receives: (rank, vector that is overwritten). Several vectors from one rank arrive in the order in which
                that rank sends them.
        """

    def begin_exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> InFlight:
        """Begin an `exchange`: leave the vectors alone until it has been waited for.

        A vector to be received may be longer than what is sent: then its first elements are overwritten.
        """

    def allgather_into(self, vector: Vector, counts: Sequence[int]) -> None:
        """Complete `vector` on every rank: each rank's own part, `counts[rank]` elements, is sent to all others.

        The parts lie in `vector` one after the other in rank order; this rank's is read, the others are overwritten.
        """

    def allreduce(self, vector: Vector) -> None:
        """Replace `vector` by the sum of the vectors of all ranks, the same bits on every rank.

        The order of the additions is the MPI library's. The same calls have the same order in every job, but a later
        call may have another one: MPICH changes its algorithm after some calls.
        """

    def gather_into(self, part: Vector, whole: Vector | None, counts: Sequence[int]) -> None:
        """Put the parts of all ranks one after the other into `whole` on rank 0; None on the other ranks."""

    def abort(self, exit_code: int) -> NoReturn:
        """End all ranks of the job now, whatever they are doing. Called by one rank."""


class World(Group, Protocol):
    """All ranks of a job; those that are left become a smaller world after a loss."""

    @property
    def lost(self) -> Sequence[Member]:
        """The ranks that were lost since the job began."""

    @property
    def library(self) -> str:
        """The MPI library with its version, in a line; empty: there is none."""

    @property
    def thread_level(self) -> str:
        """What threads may do with MPI, in MPI's word: "funneled": the main thread alone calls it; empty: no MPI."""

    def shrink(self) -> None:
        """Become the group of the ranks that are left; they are numbered anew, in the same order.

        Every rank that is left must call this, whatever it was doing: the call wakes those that wait for others.

        Raises:
            WorkerLost: another rank was lost meanwhile; on every rank. Call `shrink` again.
            CommunicationError: nobody was lost; MPI failed for another reason.
        """

    def conclude(self) -> None:
        """Agree that all work is done; from then on no rank needs any other.

        Raises:
            WorkerLost: a rank was lost before; on every rank or on none.
        """

    def leave(self) -> None:
        """Wait for the others before this process ends: a process that is gone is a lost rank for those at work."""
