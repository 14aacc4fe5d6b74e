"""The group of all ranks over MPI, and how it survives the loss of some.

Where Open MPI was started with its fault tolerance (ULFM, "user level failure mitigation": chapter "Process Fault
Mitigation" of the MPI 5 standard's proposals), the loss of a rank is survived. Some of the ranks that are left get an
error from whatever operation they are in. They revoke the communicators, which wakes all others with an error too; all
shrink the world to those that are left, and build the rest from it.
"""

from __future__ import annotations

import contextlib

from dpnet.comm.group import Member
from dpnet.comm.mpi import IN_AGREEMENT, IN_START, MPI, SURVIVES, MpiGroup, gathered, revoke
from dpnet.environment import Launched, ranks_per_node
from dpnet.errors import CommunicationError


class World(MpiGroup):
    """The ranks of a job, numbered so that those of a node follow one another; rank 0 stays rank 0.

    Args:
        world: all ranks, in any order; for dpnet alone.
        node_key: the same number on all ranks of a node, and on no others.
    """

    def __init__(self, world: MPI.Intracomm, node_key: int) -> None:
        self._world, self._node_key = world, node_key
        super().__init__(*self._arranged(world))
        self._me = Member(self.rank, self.host)
        self._members: list[Member] = gathered(world, self._me)

    def _arranged(self, world: MPI.Intracomm) -> tuple[MPI.Intracomm, MpiGroup | None]:
        """All ranks in order, and those of this node. Only operations on `world`: revoking it wakes all that wait."""
        keys = gathered(world, self._node_key)
        order = sorted(range(world.size), key=lambda rank: (keys.index(keys[rank]), rank))
        comm = world.Split(0, order.index(world.rank))
        near = world.Split(keys.index(self._node_key), world.rank)
        assert isinstance(comm, MPI.Intracomm)
        assert isinstance(near, MPI.Intracomm)
        return comm, MpiGroup(near) if near.size < world.size else None

    def shrink(self) -> None:
        """See Group.shrink."""
        with IN_AGREEMENT:
            revoke(self._comm, self.node._comm, self._world)
            world = self._world.Shrink()
            assert isinstance(world, MPI.Intracomm)
            members: list[Member] = []
            try:
                arranged = self._arranged(world)
                members = gathered(world, self._me)
            except MPI.Exception:
                revoke(world)
            # On every rank or on none: a rank that went ahead alone would wait for ever.
            if not world.Agree(bool(members)):
                raise MPI.Exception(MPI.ERR_PROC_FAILED)
        if len(members) == len(self._members):
            raise CommunicationError(f"MPI failed on {self.host}, though no rank was lost")
        self._world = world
        self._set(*arranged)
        self.lost = [*self.lost, *(member for member in self._members if member not in members)]
        self._members = members

    def conclude(self) -> None:
        """See Group.conclude."""
        with IN_AGREEMENT:
            if SURVIVES:
                self._comm.Agree(1)  # Fails if a rank was lost: on every rank or on none.
        self.leave()

    def leave(self) -> None:
        """See Group.leave."""
        with contextlib.suppress(MPI.Exception):
            self._comm.Barrier()


def connect_mpi(expected: Launched) -> World:
    """The group of all ranks of this job.

    Args:
        expected: what the launcher's environment says. An MPI library that does not belong to the launcher gives every
            process a world of its own, and N trainings would run side by side without a word.

    Raises:
        CommunicationError: MPI and the launcher disagree about the number of ranks.
    """
    if expected.world_size != MPI.COMM_WORLD.size:
        error = CommunicationError(
            f"the launcher started {expected.world_size} ranks ({expected.size_name}), but MPI sees "
            f"{MPI.COMM_WORLD.size}: the launcher and the MPI library ({MPI.get_vendor()[0]}) do not belong together. "
            "Start with `dpnet launch`, or with the mpirun of that library, or give srun the plugin that it speaks "
            "(--mpi=pmix for Open MPI, --mpi=pmi2 for MPICH)"
        )
        error.agreed = True
        raise error
    with IN_START:
        return by_node(MPI.COMM_WORLD, ranks_per_node())


def by_node(world: MPI.Intracomm, ranks_per_node: int | None) -> World:
    """The group of all ranks; nodes are what MPI says they are, or so many ranks each."""
    if ranks_per_node:
        key = world.rank // ranks_per_node
    else:
        near = world.Split_type(MPI.COMM_TYPE_SHARED, world.rank)
        key = near.bcast(world.rank)
    return World(world.Dup(), key)
