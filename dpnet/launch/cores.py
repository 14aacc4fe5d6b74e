"""Ranks and cores: when each rank may keep to a core."""

from __future__ import annotations

import os
import threading

from dpnet.compute.cores.available import available_cores, core_set
from dpnet.compute.cores.usage import others_text


def binding_obstacle(ranks: int, threads: int) -> tuple[str, bool]:
    """Why ranks cannot each be bound to a core of their own, and whether users should know; empty: they can.

    A rank that is bound keeps its data in the caches of its core, but waits for every other program there.
    """
    free, granted = core_set(), available_cores()
    if threads > 1 or ranks > granted:
        return "there is no core for each thread", False
    if 2 * ranks <= granted:
        return "another job has room beside this one, and mpirun would bind both to the same cores", False
    if granted < len(free):
        return "a CPU quota is for no cores in particular", False
    if free != allowed_cores():
        return "mpirun would bind to cores outside of this process's affinity", False
    others = others_text(free)
    return others, bool(others)


def allowed_cores() -> frozenset[int]:
    """The cores that this process could run on if it asked for all of them: those of its cpuset."""
    allowed = core_set()

    def ask() -> None:
        nonlocal allowed
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))
            allowed = core_set()

    thread = threading.Thread(target=ask)  # Affinity is a thread's own: that of this process stays as it is.
    thread.start()
    thread.join()
    return allowed
