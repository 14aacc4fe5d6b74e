"""Stragglers: which rank makes the others wait, and where the time of every rank goes.

A step ends on all ranks together, so early ranks wait for the last one. The rank that works longest in its steps is the
one that the others wait for; if they lose more than a tenth of their time to it, it is a straggler. What it does
outside of steps does not count, nor the time for which it had no core: that is told of its machine, see `contention`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpnet import whereabouts
from dpnet.comm.group import Group
from dpnet.resilience.spent import Spent
from dpnet.whereabouts import HERE

WORTH_REPORTING = 0.10
"""Share of their time that the others lose to a straggler."""


def totals(group: Group) -> dict[str, list[Any]]:
    """How every rank spent its time, in rank order; collective.

    Returns:
        lists of "hosts", of seconds "waiting" for other ranks, and of seconds in every phase of `whereabouts.PHASES`,
        waiting included.
    """
    here = (group.host, round(HERE.waited, 3), *(round(seconds, 3) for seconds in HERE.seconds))
    names = ("hosts", "waiting", *whereabouts.PHASES)
    return {name: list(column) for name, column in zip(names, zip(*group.allgather(here), strict=True), strict=True)}


def straggler(ranks: Sequence[Spent], stolen: Sequence[float] | None = None) -> int:
    """The rank that all others waited for because it works longer than they do; -1: there is none.

    Args:
        ranks: of the training.
        stolen: the share of its cores' time that each machine's host took, for each rank; None: nothing.
    """
    if len(ranks) < 2:
        return -1
    # At least so long it worked with a core, and at most so long the others did: their lack is not taken off.
    surely = [
        rank.working - rank.all_lacked - share * rank.elapsed
        for rank, share in zip(ranks, stolen or [0.0] * len(ranks), strict=True)
    ]
    slow = int(np.argmax(surely))
    others = max(rank.working for number, rank in enumerate(ranks) if number != slow)
    in_steps = ranks[slow].elapsed - ranks[slow].outside
    return slow if surely[slow] - others > WORTH_REPORTING * in_steps else -1


def describe(ranks: Sequence[Spent], slow: int, host: str) -> str:
    """A straggler, what it costs the others, and what keeps it busy, in words."""
    rows = np.array(ranks, float)
    others = np.median(np.delete(rows, slow, axis=0), axis=0)
    usual = Spent(*others.tolist())
    return (
        f"rank {slow} on {host} is slow: the others spent {usual.waited / usual.elapsed:.0%} of the last "
        f"{usual.elapsed:.0f} s waiting for it ({cause(ranks[slow], usual)})"
    )


def cause(slow: Spent, usual: Spent) -> str:
    """What keeps a straggler busy, in words; `usual` is what the other ranks spend."""
    data, computing = slow.data - usual.data, slow.computing - usual.computing
    if max(data, computing) < (usual.waited - slow.waited) / 2:
        return "neither data nor compute"
    name, own, theirs = (
        ("data", slow.data, usual.data) if data > computing else ("compute", slow.computing, usual.computing)
    )
    return f"{name}: {own:.2f} s, others {theirs:.2f} s"
