"""Stragglers: which rank makes the others wait, and where the time of every rank goes.

A step ends on all ranks together, so early ranks wait for the last one. Every rank measures the time that it waits, and
from time to time all ranks compare theirs. The rank that waited least is the one that the others waited for; if they
lost more than a tenth of their time to it, it is a straggler.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from dpnet import whereabouts
from dpnet.comm.group import Group
from dpnet.whereabouts import HERE

EVERY_STEPS = 100
"""Steps from one comparison to the next."""
WORTH_REPORTING = 0.10
"""Share of their time that the others lose to a straggler."""
COMPUTING = (whereabouts.FORWARD, whereabouts.BACKWARD, whereabouts.UPDATE)


class Pace:
    """Compares the pace of the ranks.

    Args:
        group: all ranks.
    """

    def __init__(self, group: Group) -> None:
        self._group, self._hosts = group, group.allgather(group.host)
        self._rows = np.zeros((group.world_size, 4))
        self._before = self._now()
        self._reported = -1

    def look(self) -> str:
        """The rank that has been slow since the last call, in words; empty if none, or the same as then. Collective."""
        now = self._now()
        self._rows[self._group.rank] = now - self._before
        self._before = now
        counts = [self._rows.shape[1]] * self._group.world_size
        self._group.allgather_into(self._rows.reshape(-1), counts)
        slow = straggler(self._rows)
        reported, self._reported = self._reported, slow
        if slow < 0 or slow == reported:
            return ""
        others = np.delete(self._rows, slow, axis=0)
        lost = float(np.median(others[:, 1] / others[:, 0]))
        return (
            f"rank {slow} on {self._hosts[slow]} is slow: the others spent {lost:.0%} of the last {EVERY_STEPS} steps "
            f"waiting for it ({cause(self._rows, slow)})"
        )

    def _now(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        seconds = HERE.seconds
        computing = sum(seconds[phase] for phase in COMPUTING)
        return np.array([time.monotonic(), HERE.waited, seconds[whereabouts.DATA], computing])


def totals(group: Group) -> dict[str, list[Any]]:
    """How every rank spent its time, in rank order; collective.

    Returns:
        lists of "hosts", of seconds "waiting" for other ranks, and of seconds in every phase of `whereabouts.PHASES`,
        waiting included.
    """
    here = (group.host, round(HERE.waited, 3), *(round(seconds, 3) for seconds in HERE.seconds))
    names = ("hosts", "waiting", *whereabouts.PHASES)
    return {name: list(column) for name, column in zip(names, zip(*group.allgather(here), strict=True), strict=True)}


def straggler(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> int:
    """The rank that all others waited for; -1: there is none.

    Args:
        rows: (ranks, at least 2) seconds in all, and seconds waiting.
    """
    if len(rows) < 2:
        return -1
    shares = rows[:, 1] / rows[:, 0]
    slow = int(shares.argmin())
    others = np.delete(shares, slow)
    return slow if others.min() - shares[slow] > WORTH_REPORTING else -1


def cause(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]], slow: int) -> str:
    """What keeps a straggler busy, in words.

    Args:
        rows: (ranks, 4) seconds in all, waiting, with data, computing.
        slow: the straggler.
    """
    usual = np.median(np.delete(rows, slow, axis=0), axis=0)
    _, waiting, data, computing = rows[slow] - usual
    name, place = ("data", 2) if data > computing else ("compute", 3)
    if max(data, computing) < -waiting / 2:
        return "neither data nor compute; writing files, perhaps"
    return f"{name}: {rows[slow, place]:.2f} s, others {usual[place]:.2f} s"
