"""Checks of the file system that a run directory is on: each tries in a folder of its own, and removes that."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from dpnet.files import write_atomically
from dpnet.launch.doctor.finding import Finding, fault, ok, warning

SLOW_S = 1.0
"""Seconds for one small file to get to the disk that are worth a warning."""
NAME = "run directory"
ELSEWHERE = "choose a directory elsewhere: --output DIR"


class Disk(NamedTuple):
    """What a file system can do.

    Attributes:
        path: the folder that was tried: the run directory or, as far as it is not there yet, the one above.
        why: nothing can be written there; empty: something can.
        locks: whether it has locks.
        renames: whether a file can be put in the place of another.
        sync_s: seconds for a small file to get to the disk.
        free: bytes.
    """

    path: str
    why: str = ""
    locks: bool = True
    renames: bool = True
    sync_s: float = 0.0
    free: int = 0


def look(run_dir: Path) -> Disk:
    """Try the file system of a run directory, which need not be there yet."""
    place = Path(os.path.abspath(run_dir))
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        folder = Path(tempfile.mkdtemp(prefix=".doctor-", dir=place))
    except OSError as error:
        return Disk(str(place), why=error.strerror or str(error))
    try:
        state = os.statvfs(folder)
        return Disk(str(place), "", _locks(folder), _renames(folder), _sync_s(folder), state.f_bavail * state.f_frsize)
    except OSError as error:
        return Disk(str(place), why=error.strerror or str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _locks(folder: Path) -> bool:
    """Whether a lock that one descriptor holds is refused to another."""
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(open(folder / "lock", "a")) for _ in range(2))
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EACCES)
        return False


def _renames(folder: Path) -> bool:
    target = folder / "file"
    target.write_text("old")
    write_atomically(target, "new", synced=False)
    return target.read_text() == "new" and sorted(os.listdir(folder)) == ["file", "lock"]


def _sync_s(folder: Path) -> float:
    begin_s = time.perf_counter()
    write_atomically(folder / "synced", "x" * 4096)
    return time.perf_counter() - begin_s


def check_disk(disk: Disk) -> list[Finding]:
    """What was seen of the file system."""
    if disk.why:
        return [fault(NAME, f"{disk.path} cannot be written: {disk.why}", ELSEWHERE)]
    findings = []
    if not disk.locks:
        text = f"the file system of {disk.path} has no locks: two trainings there would not notice each other"
        findings.append(fault(NAME, text, f"mount it with locks (Lustre: -o flock), or {ELSEWHERE}"))
    if not disk.renames:
        text = f"in {disk.path} a file does not replace another: checkpoints may be half written"
        findings.append(fault(NAME, text, ELSEWHERE))
    if disk.sync_s > SLOW_S:
        text = f"a small file takes {disk.sync_s:.1f} s to get to the disk of {disk.path}"
        findings.append(warning(NAME, text, f"write checkpoints less often, or {ELSEWHERE}"))
    told = f"{disk.path}: locks, renames, {1e3 * disk.sync_s:.0f} ms to the disk, {disk.free / 2**30:,.1f} GiB free"
    return findings or [ok(NAME, told)]
