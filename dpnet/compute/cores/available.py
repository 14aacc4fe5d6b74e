"""How many cores this process may use: its affinity, and the quotas of its cgroups."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence

from dpnet.compute.cores.quota import quota
from dpnet.text import counted


def core_set() -> frozenset[int]:
    """The processor cores that this process may run on: those of a cpuset (Slurm, docker --cpuset-cpus) or taskset."""
    affinity = getattr(os, "sched_getaffinity", None)
    return frozenset(affinity(0) if affinity else range(os.cpu_count() or 1))


def available_cores(core_sets: Iterable[frozenset[int]] = ()) -> int:
    """Number of cores for this process: those that it may run on, but no more than its CPU quota, at least 1.

    A quota of 1.5 cores counts as 1. Two ranks would use it up after three quarters of each period, and stand still.

    Args:
        core_sets: the cores of all processes that share them out; empty: this process is alone.
    """
    cores, granted = len(frozenset().union(*core_sets) or core_set()), quota()
    return cores if granted is None else max(1, min(cores, int(granted)))


def squeezed(core_sets: Sequence[frozenset[int]]) -> tuple[int, frozenset[int]] | None:
    """Processes that are bound to fewer cores than there are of them: how many, and the cores; None: all have one each.

    Args:
        core_sets: the cores that each process may run on.
    """
    whole = frozenset[int]().union(*core_sets)
    for cores in sorted({whole, *core_sets}, key=len):
        inside = sum(each <= cores for each in core_sets)
        if inside > max(1, len(cores)):
            return inside, cores
    return None


def cores_text(core_sets: Collection[frozenset[int]] = ()) -> str:
    """Their number as `available_cores` counts them, in words: "2 cores"; "1 core (of 8: a CPU quota of 1.5)"."""
    free = frozenset().union(*core_sets) or core_set()
    here, granted, number = os.cpu_count() or 1, quota(), available_cores([free])
    if number >= here:
        return counted(number, "core")
    whose = "these processes" if core_sets else "this process"
    by_affinity = granted is None or number == len(free)
    why = f"the affinity of {whose}" if by_affinity else f"a CPU quota of {granted:g}"
    return f"{counted(number, 'core')} (of {here}: {why})"
