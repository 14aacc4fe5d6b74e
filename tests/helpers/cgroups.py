"""Cgroups for tests: trees of files that look like them, and real ones where this machine lets a test make them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

V2 = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw master:9 - cgroup cgroup rw,cpu,cpuacct"
OTHERS = "23 1 8:1 / / rw - ext4 /dev/sda rw\n36 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"


def machine(root: Path, groups: str, mount: str, files: Mapping[str, str], *, top: str = "/") -> Path:
    """A root folder with these cgroups.

    Args:
        root: where it is made.
        groups: of this process, as in /proc/self/cgroup.
        mount: V1 or V2, or a line like them.
        files: by their path below /sys/fs/cgroup.
        top: the group that is mounted there.
    """
    texts = {
        "proc/self/cgroup": f"{groups}\n",
        "proc/self/mountinfo": f"{OTHERS}\n{mount.format(top=top)}\n",
        **{f"sys/fs/cgroup/{path}": f"{text}\n" for path, text in files.items()},
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@contextmanager
def real_quota(cores: float) -> Iterator[Path]:
    """A real cgroup with a CPU quota; skips the test where none can be made. A process joins by its cgroup.procs."""
    for parent, quota in (
        ("/sys/fs/cgroup", {"cpu.max": f"{cores * 1e5:.0f} 100000"}),
        ("/sys/fs/cgroup/cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": f"{cores * 1e5:.0f}"}),
    ):
        group = Path(parent, f"dpnet-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if all((group / name).exists() for name in (*quota, "cgroup.procs")):
                for name, text in quota.items():
                    (group / name).write_text(text)
                yield group
                return
        finally:
            if group.is_dir():
                group.rmdir()
    pytest.skip("no cgroup with a CPU quota can be made here")
