"""What the cores of this machine are doing: /proc/stat (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dpnet.compute.cores.quota import ROOT

TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""The unit of /proc/stat, whatever the kernel's own ticks are: 10 ms nearly everywhere."""


class CoreTime(NamedTuple):
    """Seconds of cores, since the machine was started.

    Attributes:
        busy: with programs and the kernel's own work.
        idle: with nothing, or waiting for a disk.
        stolen: the core of a virtual machine was ready to work, and its host gave it no time.
    """

    busy: float = 0.0
    idle: float = 0.0
    stolen: float = 0.0

    def since(self, before: CoreTime) -> CoreTime:
        """The time from an earlier reading to this one."""
        return CoreTime(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def whole(self) -> float:
        """All seconds."""
        return sum(self)


def core_times(root: Path = ROOT) -> dict[int, CoreTime]:
    """The time of every core; empty where there is no /proc/stat."""
    try:
        lines = (root / "proc/stat").read_text().splitlines()
    except OSError:
        return {}
    times = {}
    for name, *fields in map(str.split, lines):
        if name.startswith("cpu") and name[3:].isdecimal():
            # The time of guests, which comes behind, is part of user and nice.
            user, nice, system, idle, iowait, irq, softirq, steal = (int(field) / TICKS_PER_S for field in fields[:8])
            times[int(name[3:])] = CoreTime(user + nice + system + irq + softirq, idle + iowait, steal)
    return times


def busy_shares(cores: Iterable[int], seconds: float) -> list[float]:
    """How busy each of these cores is, from 0 to 1, while this process sleeps for `seconds`; empty: unknown."""
    before = core_times()
    time.sleep(seconds)
    after = core_times()
    spent = [after[core].since(before[core]) for core in cores if core in before and core in after]
    return [1 - each.idle / each.whole for each in spent if each.whole > 0]
