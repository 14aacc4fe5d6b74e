"""All ranks of a job over MPI, and how they survive the loss of some.

A loss is survived where Open MPI was started with its fault tolerance (ULFM, "user-level failure mitigation": "Process
Fault Mitigation" in the proposals for MPI 5). Some of the remaining ranks get an error from the operation they are in.
They revoke the communicators, which raises an error in all others too; then all shrink the world to the ranks that are
left, and build the other communicators from it.

An agreement waits for all living ranks of its communicator, revoked or not. So all must meet in the same ones: a rank
that has lost another first takes part in the agreement in which the others may be waiting, that all work is done, and
says no.

    rank 0   barrier: rank 1 is lost     Agree(no)    Shrink
    rank 2   conclude                    Agree(yes)   Shrink
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from dpnet.comm.group import Member
from dpnet.comm.mpi import IN_AGREEMENT, IN_START, MPI, SURVIVES, VENDOR, MpiGroup, gathered, revoke
from dpnet.environment import Launched, ranks_per_node, right_start
from dpnet.errors import CommunicationError
from dpnet.text import first_words


class MpiWorld(MpiGroup):
    """All ranks of a job, numbered so that those of a node are consecutive; rank 0 stays rank 0.

    Args:
        world: all ranks, in any order; nobody else uses this communicator.
        node_key: a number that all ranks of a node have in common, and no others.

    Attributes:
        lost: see World.lost.
        library: see World.library.
        thread_level: see World.thread_level.
    """

    thread_level = ("single", "funneled", "serialized", "multiple")[
        [MPI.THREAD_SINGLE, MPI.THREAD_FUNNELED, MPI.THREAD_SERIALIZED, MPI.THREAD_MULTIPLE].index(MPI.Query_thread())
    ]
    library = first_words(MPI.Get_library_version())

    def __init__(self, world: MPI.Intracomm, node_key: int) -> None:
        self._world, self._node_key = world, node_key
        super().__init__(*self._arranged(world))
        self.lost: Sequence[Member] = ()
        self._has_agreed = False
        self._me = Member(self.rank, self.host)
        self._members: list[Member] = gathered(world, self._me)

    def _arranged(self, world: MPI.Intracomm) -> tuple[MPI.Intracomm, MpiGroup | None]:
        """All ranks in order, and those of this node; by operations on `world` alone: revoking it wakes every rank."""
        keys = gathered(world, self._node_key)
        order = sorted(range(world.size), key=lambda rank: (keys.index(keys[rank]), rank))
        comm = world.Split(0, order.index(world.rank))
        near = world.Split(keys.index(self._node_key), world.rank)
        assert isinstance(comm, MPI.Intracomm)
        assert isinstance(near, MPI.Intracomm)
        return comm, MpiGroup(near) if near.size < world.size else None

    def shrink(self) -> None:
        """See World.shrink."""
        with IN_AGREEMENT:
            revoke(self._comm, self.node._comm, self._world)
            with contextlib.suppress(MPI.Exception):
                self._agree(is_done=False)
            world = self._world.Shrink()
            assert isinstance(world, MPI.Intracomm)
            members: list[Member] = []
            try:
                arranged = self._arranged(world)
                members = gathered(world, self._me)
            except MPI.Exception:
                revoke(world)
            # Shrink on every rank or on none: a rank that did so alone would wait for ever.
            if not world.Agree(bool(members)):
                raise MPI.Exception(MPI.ERR_PROC_FAILED)
        if len(members) == len(self._members):
            raise CommunicationError(f"MPI failed on {self.host}, though no rank was lost")
        self._world, self._has_agreed = world, False
        self._set(*arranged)
        self.lost = [*self.lost, *(member for member in self._members if member not in members)]
        self._members = members

    def conclude(self) -> None:
        """See World.conclude."""
        with IN_AGREEMENT:
            if SURVIVES:
                self._agree(is_done=True)
        self._has_agreed = False
        self.leave()

    def _agree(self, *, is_done: bool) -> None:
        """Agree on whether all work is done, once; another try to shrink finds that this communicator has agreed.

        Raises:
            MPI.Exception: it is not, or a rank was lost; on every rank or on none.
        """
        if not self._has_agreed:
            self._has_agreed = True
            if not self._comm.Agree(is_done):
                raise MPI.Exception(MPI.ERR_PROC_FAILED)

    def leave(self) -> None:
        """See World.leave."""
        with contextlib.suppress(MPI.Exception):
            self.node._meet()
            self._comm.Barrier()


def connect_mpi(expected: Launched) -> MpiWorld:
    """All ranks of this job.

    Args:
        expected: what the launcher set. An MPI library that does not belong to the launcher gives every process a world
            of its own: N trainings would run side by side, unnoticed.

    Raises:
        CommunicationError: MPI and the launcher disagree about the number of ranks.
    """
    if expected.world_size != MPI.COMM_WORLD.size:
        raise CommunicationError(
            f"the launcher started {expected.world_size} ranks ({expected.size_name}), but MPI sees "
            f"{MPI.COMM_WORLD.size}: the launcher and the MPI library ({VENDOR}) do not belong together. "
            f"{right_start(VENDOR)}",
            agreed=True,
        )
    with IN_START:
        return by_node(MPI.COMM_WORLD, ranks_per_node())


def by_node(world: MPI.Intracomm, ranks_per_node: int | None) -> MpiWorld:
    """All ranks of `world`; a node is what MPI takes for one, or `ranks_per_node` consecutive ranks."""
    if ranks_per_node:
        key = world.rank // ranks_per_node
    else:
        near = world.Split_type(MPI.COMM_TYPE_SHARED, world.rank)
        key = near.bcast(world.rank)
    return MpiWorld(world.Dup(), key)
