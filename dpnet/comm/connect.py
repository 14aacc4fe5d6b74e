"""Finds the group of ranks that this process belongs to."""

from __future__ import annotations

from dpnet.comm.environment import launched
from dpnet.comm.group import Group
from dpnet.comm.local import LocalGroup


def connect() -> Group:
    """All ranks that the launcher started; a group of one, which needs no MPI, where there is no launcher.

    Raises:
        CommunicationError: no MPI library can be loaded, or it does not belong to the launcher.
    """
    expected = launched()
    if expected.world_size == 1:
        return LocalGroup()
    from dpnet.comm.mpi import connect_mpi  # Not above: it initialises MPI.

    return connect_mpi(expected)
