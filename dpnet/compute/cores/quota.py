"""CPU quotas: how much processor time the cgroups of this process grant it (Linux).

`docker --cpus=1.5`, a limit of Kubernetes and `systemd-run -p CPUQuota=150%` all become a quota: so many microseconds
of processor time in each period. Version 2 of cgroups has one tree; version 1 has one for each kind of limit. In both,
a quota holds for all groups below its own, so the narrowest between the group of the process and the root counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def quota(root: Path = ROOT) -> float | None:
    """Cores' worth of processor time that this process is granted, such as 1.5; None: as much as there is.

    Args:
        root: the folder that holds proc and sys.
    """
    return min((cores for group in groups(root) if (cores := _quota_of(group)) is not None), default=None)


def throttled_s(root: Path = ROOT) -> float:
    """Seconds for which quotas have stopped the groups of this process, summed over the cores that they run on."""
    return max((_throttled_s(group) for group in groups(root)), default=0.0)


def groups(root: Path = ROOT) -> Iterator[Path]:
    """Folders of the cgroups that limit this process's time, from its own up to the highest that is visible."""
    try:
        paths = dict(_paths((root / "proc/self/cgroup").read_text()))
        mounts = (root / "proc/self/mountinfo").read_text()
    except OSError:
        return
    for kind, top, mounted in _mounts(mounts):
        if kind in paths:
            yield from _upwards(root / mounted.relative_to("/"), _below(paths[kind], top))


def _paths(text: str) -> Iterator[tuple[str, PurePosixPath]]:
    """(file system, path) of the groups in /proc/self/cgroup: `0::/a` in version 2, `4:cpu,cpuacct:/a` in version 1."""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield "cgroup2", PurePosixPath(path)
        elif "cpu" in controllers.split(","):
            yield "cgroup", PurePosixPath(path)


def _mounts(text: str) -> Iterator[tuple[str, PurePosixPath, PurePosixPath]]:
    """(file system, its folder that is mounted, where) of the trees in /proc/self/mountinfo that hold quotas."""
    for line in text.splitlines():
        # 36 35 98:0 /mounted/folder /where options [more options] - file-system source its,own,options
        place, _, system = line.partition(" - ")
        kind, _, options = system.partition(" ")
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.rpartition(" ")[2].split(",")):
            _, _, _, top, where, *_ = map(_unescaped, place.split(" "))
            yield kind, PurePosixPath(top), PurePosixPath(where)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _below(path: PurePosixPath, top: PurePosixPath) -> PurePosixPath:
    """A path as seen from the mounted folder; that folder itself, if the path lies elsewhere, as in some containers."""
    inside = path.is_relative_to(top) and ".." not in path.parts
    return path.relative_to(top) if inside else PurePosixPath()


def _upwards(mounted: Path, path: PurePosixPath) -> Iterator[Path]:
    for below in (path, *path.parents):
        yield mounted / below


def _quota_of(group: Path) -> float | None:
    try:
        if (group / "cpu.max").exists():
            granted, period = (group / "cpu.max").read_text().split()  # "150000 100000", or "max 100000".
        else:
            granted, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        cores = float(granted) / float(period)
        return cores if 0 < cores < float("inf") else None  # -1 is none in version 1.
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _throttled_s(group: Path) -> float:
    try:
        rows = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
        return int(rows["throttled_usec"]) / 1e6 if "throttled_usec" in rows else int(rows["throttled_time"]) / 1e9
    except (OSError, ValueError, KeyError):
        return 0.0
