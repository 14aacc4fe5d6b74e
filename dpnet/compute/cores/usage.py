"""What the cores of this machine are doing: /proc/stat (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dpnet.compute.cores.quota import ROOT
from dpnet.text import counted

TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""The unit of /proc/stat, whatever the kernel's own ticks are: 10 ms nearly everywhere."""

MOMENT_S = 0.08
"""How long the cores are watched at a start: eight ticks of /proc/stat, a twentieth of a start."""
IDLE = 0.6
"""A core that is less idle than this has another program on it. The system itself takes a few per cent."""


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


def others_text(cores: Iterable[int]) -> str:
    """That other programs are on these cores, while this process sleeps for a moment; empty: they are idle."""
    busy = busy_shares(cores, MOMENT_S)
    if not busy or min(1 - share for share in busy) >= IDLE:
        return ""
    return f"other programs use {sum(busy) / len(busy):.0%} of {counted(len(busy), 'core')}"


def used_s(helpers: Iterable[int] = (), root: Path = ROOT) -> float:
    """Seconds of processor time that this process, the children that it has waited for, and `helpers` have used.

    Args:
        helpers: processes that work for this one.
        root: the folder that holds proc.
    """
    times = os.times()
    return sum(times[:4]) + sum(_used_by(root / f"proc/{pid}/stat") for pid in helpers)


def _used_by(stat: Path) -> float:
    try:
        # 17 (a name, with spaces and brackets) S 1 ...: the third field is the first behind the last bracket.
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    except (OSError, IndexError, ValueError):
        return 0.0  # It has ended.


class Lack(NamedTuple):
    """Seconds for which threads were ready to run and no core took them, because others ran there.

    Attributes:
        main: the main thread's.
        all: of all threads together.
    """

    main: float
    all: float


def lack(root: Path = ROOT) -> Lack | None:
    """What the threads of this process have lacked since they began; None: the system does not tell."""
    try:
        main = _delay_s(root / "proc/self/schedstat")
        threads = [_delay_s(path) for path in (root / "proc/self/task").glob("*/schedstat")]
    except (OSError, IndexError, ValueError):
        return None  # Also where a thread ended while its file was read: the next reading will do.
    return Lack(main, sum(threads))


def _delay_s(schedstat: Path) -> float:
    _, delay_ns, turns = schedstat.read_text().split()  # Time on a core, time ready for one, number of turns.
    if not int(turns):
        raise ValueError("the kernel does not count turns, as this thread has one")
    return int(delay_ns) / 1e9
