"""How a rank ends all others at any time: before MPI is up, while ranks connect, or in the middle of a training.

Only the standard library is imported here: an interrupted process must not have to import numpy in order to end.
"""

from __future__ import annotations

import os
import socket
import sys
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dpnet.comm.group import Group
    from dpnet.environment import Launched


def abort(exit_code: int, group: Group | None) -> NoReturn:
    """End this process and all others.

    Where MPI is up, MPI ends the others: MPICH's mpirun does not always notice that a process ended without MPI_Abort.
    Otherwise the launcher ends them.

    Args:
        exit_code: of the job.
        group: all ranks; None: this rank has not connected yet.
    """
    if group is not None:
        group.abort(exit_code)
    mpi = sys.modules.get("dpnet.comm.mpi")
    if mpi is not None:
        mpi.abort(exit_code)
    os._exit(exit_code)


class AbortOnUncaughtException:
    """From its construction on, an exception that this rank does not catch ends all ranks.

    Otherwise the failing rank would wait for the others in MPI_Finalize while they wait for it in their next
    collective: a deadlock.

    Args:
        expected: what the launcher set for this rank.

    Attributes:
        group: all ranks, once this rank has connected.
    """

    def __init__(self, expected: Launched) -> None:
        self._expected = expected
        self.group: Group | None = None
        sys.excepthook = self

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        """The hook: print the traceback and end the job."""
        me = self._expected if self.group is None else self.group
        try:
            text = "".join(traceback.format_exception(kind, error, trace))
            # One write: the output of other ranks cannot come in between.
            sys.stderr.write(
                f"\n{text}dpnet: rank {me.rank} of {me.world_size} on {socket.gethostname()} failed, ending all ranks\n"
            )
        finally:
            abort(1, self.group)
