"""Errors that all ranks raise together.

An error on one rank alone would leave the others waiting in their next collective. So work that may fail runs inside
one of these functions: the ranks share its outcome as data, and then all of them return or all of them raise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from dpnet.comm.group import Group
from dpnet.errors import DpnetError
from dpnet.whereabouts import HERE

T = TypeVar("T")
FIRST_PAUSE_S, LAST_PAUSE_S = 0.001, 0.1
"""Pauses between two looks at what all ranks wait for: each twice as long as the one before."""


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


def until_root(group: Group, poll: Callable[[], bool]) -> None:
    """Wait until `poll`, which is called on rank 0 again and again, returns True; or every rank raises its error.

    For waits that may be long, such as for a disk. All ranks sleep between the calls, where a collective would keep
    their cores busy, and show the watchdog that they are alive: whoever polls must notice what hangs.

    Raises:
        DpnetError: `poll` raised this error.
    """
    pause_s = FIRST_PAUSE_S
    while not on_root(group, poll):
        time.sleep(pause_s)
        HERE.beat()
        pause_s = min(2 * pause_s, LAST_PAUSE_S)


def on_root_asleep(group: Group, work: Callable[[], T], tell: Callable[[], None]) -> T:
    """`on_root` for work that may wait for a disk: a thread does it while all ranks sleep, see `until_root`.

    Args:
        group: all ranks.
        work: is done on rank 0, in a thread, which is left alone if `tell` raises an error.
        tell: is called on rank 0 again and again meanwhile.

    Raises:
        DpnetError: `work` or `tell` raised this error.
    """
    future: Future[T] = Future()
    if group.rank == 0:
        threading.Thread(target=_fulfil, args=(future, work), daemon=True).start()

    def poll() -> bool:
        if not wait([future], FIRST_PAUSE_S).done:
            tell()
        return future.done()

    until_root(group, poll)
    return on_root(group, future.result)


def _fulfil(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


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
