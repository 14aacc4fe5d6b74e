"""The pace of the ranks: from time to time all compare how they spent their time, and tell what slows them down.

One reading proves nothing, as a machine is never quite still: only what is found several times in a row is told.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

import numpy as np

from dpnet.comm.group import Group
from dpnet.compute.cores.available import core_set
from dpnet.resilience.contention import contention
from dpnet.resilience.spent import Spent, spent_so_far
from dpnet.resilience.stragglers import describe, straggler

EVERY_STEPS = 100
"""Steps after which ranks ask one another whether a window is over."""
WINDOW_S = 2.0
"""Least length of a window, over which ranks compare."""
WINDOWS = 3
"""So many windows in a row show the same before it is told."""
HELPED = 0.02
"""A rank whose helper, the writer of checkpoints, computes for more than this share of a window is not judged by it."""


class Pace:
    """Compares the pace of the ranks.

    Args:
        group: all ranks.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        places = group.allgather((group.host, core_set()))
        self._hosts = [host for host, _ in places]
        self._cores: dict[str, frozenset[int]] = {}
        for host, cores in places:
            self._cores[host] = self._cores.get(host, frozenset()) | cores
        # The first rank of a machine reads what all of it does.
        first = self._hosts.index(group.host) == group.rank
        self._watched = self._cores[group.host] if first else frozenset()
        self._ages = np.zeros(group.world_size)
        self._rows = np.zeros((group.world_size, len(Spent._fields)))
        self._findings = Findings()
        self._before = spent_so_far(self._watched)

    def look(self) -> str:
        """What has slowed the training down for some time, in words; empty: nothing new. Collective."""
        self._ages[self._group.rank] = time.monotonic() - self._before.elapsed
        self._group.allgather_into(self._ages, [1] * self._group.world_size)
        if self._ages.min() < WINDOW_S:
            return ""
        return "\n".join(self._judge(self._read()))

    def contended(self) -> list[str]:
        """Who has taken the cores of each machine since the reading before, in words; of a measurement. Collective."""
        ranks = self._read()
        texts = (contention(host, len(cores), self._on(host, ranks)) for host, cores in self._cores.items())
        return [text for text in texts if text]

    def _read(self) -> list[Spent]:
        now = spent_so_far(self._watched)
        self._rows[self._group.rank] = now.since(self._before)
        self._before = now
        self._group.allgather_into(self._rows.reshape(-1), [len(Spent._fields)] * self._group.world_size)
        return [Spent(*row) for row in self._rows.tolist()]

    def _on(self, host: str, ranks: list[Spent]) -> list[Spent]:
        return [rank for rank, its_host in zip(ranks, self._hosts, strict=True) if its_host == host]

    def _judge(self, ranks: list[Spent]) -> list[str]:
        found, stolen, unsure = {}, {}, set()
        for host, cores in self._cores.items():
            here = self._on(host, ranks)
            whole = sum(rank.busy + rank.idle + rank.stolen for rank in here)
            stolen[host] = sum(rank.stolen for rank in here) / whole if whole else 0.0
            if text := contention(host, len(cores), here):
                found[f"host {host}"] = text
                # Whoever shares a core also shares its caches, and works longer for it.
                unsure |= {f"rank {number}" for number, its_host in enumerate(self._hosts) if its_host == host}
        slow = straggler(ranks, [stolen[host] for host in self._hosts])
        if slow >= 0:
            found[f"rank {slow}"] = describe(ranks, slow, self._hosts[slow])
        unsure |= {f"rank {number}" for number, rank in enumerate(ranks) if rank.helped > HELPED * rank.elapsed}
        return self._findings.lasting(found, unsure)


class Findings:
    """Tells what is found in WINDOWS windows in a row, once; again only after it was absent for as many."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._absent: dict[str, int] = {}  # Of what was told.

    def lasting(self, found: Mapping[str, str], unsure: Collection[str] = ()) -> list[str]:
        """The texts to tell now.

        Args:
            found: texts of this window, by what they are about.
            unsure: what this window says nothing about.
        """
        for key in {*self._seen, *self._absent} - {*found, *unsure}:
            self._seen.pop(key, None)
            if key in self._absent:
                self._absent[key] += 1
                if self._absent[key] >= WINDOWS:
                    del self._absent[key]
        told = []
        for key in found.keys() - set(unsure):
            self._seen[key] = self._seen.get(key, 0) + 1
            if key in self._absent:
                self._absent[key] = 0
            elif self._seen[key] >= WINDOWS:
                self._absent[key] = 0
                told.append(found[key])
        return sorted(told)
