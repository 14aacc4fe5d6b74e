"""The barrier of a node: its ranks meet in the memory that they share, and who waits long sleeps.

MPI's barriers spin: where there are more ranks and other programs than cores, a rank that waits takes a core from the
rank that it waits for. On two cores with two other programs, two ranks trained ten times slower than alone.

Every rank has a word of its own, and stores there the number of the barrier that it has come to. The rank that sees
all others there stores the number in the `released` word, on which the others wait in three ways, one after the other:

    spin     load the word again and again. Ranks that do equal work come within microseconds of one another
    yield    the same, but whoever else wants the core gets it; only as long as nobody does
    sleep    in the kernel, until woken. To wake takes 25 to 50 microseconds, so to spin for about as long as that costs
             at most twice what the best choice would have cost

A word has one writer, or several that store the same, so no operation has to be atomic. Two ranks that come at the same
instant may each miss the other's store, which is still on its way, and both wait. Therefore waiting ranks look at the
words of the others as well, and whoever sees all of them there releases; and before a rank sleeps, a full memory
barrier comes between its store and its last look. Of several ranks, the one whose barrier comes last sees all.

Where there are more ranks than cores, a core that is taken is usually taken by another rank, on its way to the same
barrier. Ranks then hardly spin, and yield for longer before they sleep: on two cores, eight ranks take a fourth more
steps, beside a busy program per core a tenth fewer.

To wake costs as much as the whole rest of a barrier. So a rank that goes to sleep stores the number in a second word of
its own, and who releases wakes only if one of these words has it. Between these two stores and the two looks comes the
memory barrier that the sleeper makes for all processes (`dpnet/comm/futex.py`).

Numbers go round; they need only be told from the one before and the one after.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

from dpnet.comm.futex import IN_ORDER, Futex, barrier_everywhere, join_barriers
from dpnet.compute.arrays import Vector

LINE = 16
"""Words in a cache line. Each word has a line of its own, or a store to one would evict the others."""
ROUND = 2**31
"""Numbers of barriers."""
LOADS = 16
"""Loads of one word, about 20 ns each, from one look at the clock to the next."""

SPIN_S, LEAST_SPIN_S = 50e-6, 2e-6
"""A rank spins for so long; for half as long each time that it had to sleep all the same."""
YIELD_S = 1e-3
"""Then it yields, for so long at most."""
TAKEN_S, CROWDED_TAKEN_S = 50e-6, 2e-3
"""A yield that takes longer has run another program; the second, where there are more ranks than cores."""
SHARED_S = 0.1
"""A core that another program has run on counts as shared for so long: ranks sleep at once instead of yielding."""
CHECK_EVERY_S = 0.004
"""So often a sleeping rank looks whether others were lost."""


def words(world_size: int) -> int:
    """Number of int32 words for the barrier of so many ranks."""
    return LINE * (1 + world_size)


class NodeBarrier:
    """A barrier of ranks that share memory.

    Args:
        memory: (words(world_size),) int32 zeros that all of them share.
        rank: number of this rank among them.
        world_size: their number.
        check: called while this rank waits for long. What it raises ends the wait, and the barrier must not be used
            any more: a rank that has come to it may have been lost.
        cores: number of cores that these ranks share; None: a core or more for each.
    """

    def __init__(
        self, memory: Vector, rank: int, world_size: int, check: Callable[[], object], cores: int | None = None
    ) -> None:
        numbers = memory.data
        self._released = numbers[:1]
        self._arrived, self._asleep = (numbers[LINE + word : words(world_size) : LINE] for word in range(2))
        self._rank, self._check = rank, check
        self._futex = Futex(self._released)
        # Nobody sleeps on the own word: to wake there is a memory barrier, and no more.
        self._fence = Futex(numbers[LINE * (1 + rank) :][:1]).wake
        self._ordered = platform.machine() in IN_ORDER
        self._sleepers_tell = join_barriers()
        self._number = 0
        crowded = cores is not None and world_size > cores
        self._most_spin_s, self._taken_s = (LEAST_SPIN_S, CROWDED_TAKEN_S) if crowded else (SPIN_S, TAKEN_S)
        self._spin_s, self._shared_until = self._most_spin_s, 0.0

    def wait(self) -> None:
        """Return when every rank has called this; what any rank stored before, every rank sees afterwards."""
        before = self._number
        self._number = number = (before + 1) % ROUND
        if not self._ordered:
            self._fence()
        self._arrived[self._rank] = number
        if not self._all_came(before, number):
            self._spin(before, number) or self._yield(before, number) or self._sleep(before, number)
        if not self._ordered:
            self._fence()

    def _all_came(self, before: int, number: int) -> bool:
        """Whether every rank has come. If so, release the others."""
        if before in self._arrived.tolist():
            return False
        self._released[0] = number
        if not self._sleepers_tell or number in self._asleep.tolist():
            self._futex.wake()
        return True

    def _spin(self, before: int, number: int) -> bool:
        released, end = self._released, time.monotonic() + self._spin_s
        while True:
            for _ in range(LOADS):
                if released[0] == number:
                    self._spin_s = self._most_spin_s
                    return True
            if self._all_came(before, number):
                return True
            if time.monotonic() > end:
                return False

    def _yield(self, before: int, number: int) -> bool:
        now = time.monotonic()
        end = now + YIELD_S
        while self._shared_until < now < end:
            os.sched_yield()
            if self._released[0] == number or self._all_came(before, number):
                return True
            last, now = now, time.monotonic()
            if now - last > self._taken_s:
                self._shared_until = now + SHARED_S
        return False

    def _sleep(self, before: int, number: int) -> bool:
        self._spin_s = max(LEAST_SPIN_S, self._spin_s / 2)
        self._asleep[self._rank] = number
        self._fence()
        barrier_everywhere()
        while self._released[0] != number and not self._all_came(before, number):
            self._futex.wait(before, CHECK_EVERY_S)
            if self._released[0] != number:
                self._check()
        return True
