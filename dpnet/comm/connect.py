"""Finds the group of ranks that this process belongs to."""

from __future__ import annotations

from dpnet.comm.abort import AbortOnUncaughtException
from dpnet.comm.group import Group
from dpnet.comm.local import LocalGroup
from dpnet.environment import launched


def connect() -> Group:
    """All ranks that the launcher started; a group of one, which needs no MPI, where there is no launcher.

    With several ranks, an exception that one of them does not catch ends them all from here on.

    Raises:
        CommunicationError: no MPI library can be loaded, or it does not belong to the launcher.
    """
    expected = launched()
    if expected.world_size == 1:
        return LocalGroup()
    hook = AbortOnUncaughtException(expected)
    from dpnet.comm.world import connect_mpi  # Not above: it initialises MPI.

    hook.group = connect_mpi(expected)
    return hook.group
