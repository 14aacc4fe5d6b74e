"""Finds the world that this process belongs to."""

from __future__ import annotations

import os

from dpnet.comm.abort import AbortOnUncaughtException
from dpnet.comm.group import World
from dpnet.comm.local import LocalGroup
from dpnet.comm.lonely import Lonely
from dpnet.comm.time_slice import shorten_time_slice
from dpnet.environment import Launched, launched, own_training, rank_above
from dpnet.errors import CommunicationError


def connect() -> World:
    """All ranks that the launcher started; without a launcher a world of one rank, which needs no MPI.

    With several ranks, an exception that one of them does not catch ends them all from here on.

    Raises:
        CommunicationError: no MPI library can be loaded, the library does not belong to the launcher, or this process
            is no rank.
    """
    expected = launched()
    if expected.world_size == 1:
        return LocalGroup()
    _check_rank(expected)
    hook = AbortOnUncaughtException(expected)
    shorten_time_slice()
    with Lonely(expected):
        from dpnet.comm.world import connect_mpi  # Not above: the import initialises MPI.

        hook.group = world = connect_mpi(expected)
    return world


def _check_rank(expected: Launched) -> None:
    """Refuse a process that has merely inherited the variables of a rank, as a subprocess of one has."""
    if expected.size_name == "PMI_SIZE" and not _is_open(os.environ.get("PMI_FD", "")):
        raise CommunicationError(
            f"this process has inherited PMI_SIZE={expected.world_size}, but not the connection of its rank to the "
            f"launcher. {own_training()}"
        )
    above = rank_above()
    if above is not None:
        raise CommunicationError(
            f"this process has inherited {expected.size_name}={expected.world_size} from process {above}, which is the "
            f"rank {expected.rank} and uses MPI itself. {own_training()}"
        )


def _is_open(descriptor: str) -> bool:
    """Whether a descriptor is open; True where there is none, as the launcher uses another way then."""
    if not descriptor.isdecimal():
        return True
    try:
        os.fstat(int(descriptor))
    except OSError:
        return False
    return True
