"""The processes of a run of mpirun on this host, found by a variable that each of them carries."""

from __future__ import annotations

import os
import signal
import time

from dpnet.environment import NAMES

ATTEMPT = "DPNET_ATTEMPT"
"""Variable that every process of an attempt carries, and no other."""


def carriers(name: str, *, of_ranks: bool = False) -> list[int]:
    """Processes on this host that belong to an attempt; of its ranks alone, if so asked."""
    tag = f"{ATTEMPT}={name}".encode()
    ranks = {names[0].encode() for names in NAMES[:2]}
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue  # It has ended, or is somebody else's.
        is_rank = any(variable.partition(b"=")[0] in ranks for variable in variables)
        if tag in variables and (is_rank or not of_ranks):
            found.append(int(entry))
    return found


def end_all(name: str, wait_s: float) -> None:
    """End every process on this host that belongs to an attempt.

    Ranks get SIGKILL at once: Open MPI's can outlive their mpirun. Others get it after `wait_s` seconds: one may be
    writing the last checkpoint.
    """
    for pid in carriers(name, of_ranks=True):
        kill(pid, signal.SIGKILL)
    end = time.monotonic() + wait_s
    while (left := carriers(name)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in left:
        kill(pid, signal.SIGKILL)


def kill(pid: int, number: int) -> None:
    """Send a signal to a process, if it is still there."""
    try:
        os.kill(pid, number)
    except OSError:
        return  # It has ended.
