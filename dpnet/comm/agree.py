"""Errors that all ranks raise together.

An error on one rank alone would leave the others waiting in their next collective. So work that may fail runs inside
one of these two functions: the ranks share its outcome as data, and then all of them return or all of them raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dpnet.comm.group import Group
from dpnet.errors import DpnetError

T = TypeVar("T")


def on_root(group: Group, work: Callable[[], T]) -> T:
    """Run `work` on rank 0 only; every rank returns its result (a small object) or raises its error.

    Raises:
        DpnetError: `work` raised this error. Any other exception is a fault of dpnet: rank 0 raises it alone, which
            ends the job.
    """
    outcome = group.broadcast(_outcome(work) if group.rank == 0 else None)
    assert outcome is not None
    result, error = outcome
    if error is not None:
        raise _agreed(error)
    return result  # type: ignore[return-value]  # None only where T is None


def everywhere(group: Group, work: Callable[[], T]) -> T:
    """Run `work` on every rank; return this rank's result, or raise on every rank the first error of any rank.

    Raises:
        DpnetError: `work` raised this error, here or on another rank, which the message names then.
    """
    result, error = _outcome(work)
    errors = group.allgather((error, group.host))
    failed = [(rank, error, host) for rank, (error, host) in enumerate(errors) if error is not None]
    if failed:
        rank, first, host = failed[0]
        assert first is not None
        if len(failed) < group.world_size:
            first.args = (f"{first} (rank {rank}, {host})",)
        raise _agreed(first)
    return result  # type: ignore[return-value]  # None only where T is None


def _outcome(work: Callable[[], T]) -> tuple[T | None, DpnetError | None]:
    try:
        return work(), None
    except DpnetError as error:
        return None, error


def _agreed(error: DpnetError) -> DpnetError:
    error.agreed = True
    return error
