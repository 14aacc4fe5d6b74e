"""Finds the world that this process belongs to."""

from __future__ import annotations

from dpnet.comm.abort import AbortOnUncaughtException
from dpnet.comm.group import World
from dpnet.comm.local import LocalGroup
from dpnet.environment import launched


def connect() -> World:
    """All ranks that the launcher started; without a launcher a world of one rank, which needs no MPI.

    With several ranks, an exception that one of them does not catch ends them all from here on.

    Raises:
        CommunicationError: no MPI library can be loaded, or the library does not belong to the launcher.
    """
    expected = launched()
    if expected.world_size == 1:
        return LocalGroup()
    hook = AbortOnUncaughtException(expected)
    from dpnet.comm.world import connect_mpi  # Not above: the import initialises MPI.

    hook.group = world = connect_mpi(expected)
    return world
