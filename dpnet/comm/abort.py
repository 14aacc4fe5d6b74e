"""How a rank ends all others, wherever it is: before MPI, on the way to its group, or in the midst of a training.

Nothing but the standard library is imported here: who is interrupted must not have to import numpy in order to end.
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

    Where MPI is up it passes the word on: MPICH's mpirun does not always notice that a process ended without it.
    Elsewhere the launcher ends the others.

    Args:
        exit_code: of the job.
        group: all ranks; None: there is none yet.
    """
    if group is not None:
        group.abort(exit_code)
    mpi = sys.modules.get("dpnet.comm.mpi")
    if mpi is not None:
        mpi.abort(exit_code)
    os._exit(exit_code)


class AbortOnUncaughtException:
    """An exception that this rank does not catch ends all ranks, from here on.

    Without it the failing rank would wait in MPI_Finalize for the others, and they for it in their next collective, for
    ever.

    Args:
        expected: what the launcher says about this rank.

    Attributes:
        group: all ranks, once there is one.
    """

    def __init__(self, expected: Launched) -> None:
        self._expected = expected
        self.group: Group | None = None
        sys.excepthook = self

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        """The hook."""
        me = self._expected if self.group is None else self.group
        try:
            text = "".join(traceback.format_exception(kind, error, trace))
            # One write: the output of other ranks cannot come in between.
            sys.stderr.write(
                f"\n{text}dpnet: rank {me.rank} of {me.world_size} on {socket.gethostname()} failed, ending all ranks\n"
            )
        finally:
            abort(1, self.group)
