"""Finds the group of ranks that this process belongs to."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType
from typing import Any, NoReturn

from dpnet.comm.environment import launched
from dpnet.comm.group import Group
from dpnet.comm.local import LocalGroup


def connect() -> Group:
    """All ranks that the launcher started; a group of one, which needs no MPI, where there is no launcher.

    With several ranks, an exception that one of them does not catch ends them all from here on.

    Raises:
        CommunicationError: no MPI library can be loaded, or it does not belong to the launcher.
    """
    expected = launched()
    if expected.world_size == 1:
        return LocalGroup()
    from dpnet.comm.world import connect_mpi  # Not above: it initialises MPI.

    group = connect_mpi(expected)
    _abort_on_uncaught_exception(group)
    return group


def abort(exit_code: int) -> NoReturn:
    """End this process and all others, from a rank that has no group: it failed on the way to it.

    Where MPI is up it passes the word on. MPICH's mpirun does not always notice that a process ended without it.
    """
    mpi = sys.modules.get("dpnet.comm.mpi")
    if mpi is not None:
        mpi.abort(exit_code)
    os._exit(exit_code)  # The launcher ends the others.


def _abort_on_uncaught_exception(group: Group) -> None:
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
