"""The processes of an attempt on this host, found by a variable in the environment of each."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

from dpnet.environment import ATTEMPT, NAMES


def carriers(name: str, *, of_ranks: bool = False) -> list[int]:
    """Processes of an attempt on this host, mpirun among them; with `of_ranks` only its ranks."""
    tag = f"{ATTEMPT}={name}".encode()
    ranks = {names[0].encode() for names in NAMES[:2]}
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue  # The process has ended, or belongs to another user.
        is_rank = any(variable.partition(b"=")[0] in ranks for variable in variables)
        if tag in variables and (is_rank or not of_ranks):
            found.append(int(entry))
    return found


def end_all(name: str, wait_s: float) -> None:
    """End every process of an attempt on this host.

    Ranks are killed at once: Open MPI's may outlive their mpirun. Other processes are killed after `wait_s` seconds,
    as one of them may be writing the last checkpoint.
    """
    for pid in carriers(name, of_ranks=True):
        kill(pid, signal.SIGKILL)
    end = time.monotonic() + wait_s
    while (left := carriers(name)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in left:
        kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def stopped(name: str) -> Iterator[None]:
    """Stop every process of an attempt on this host meanwhile.

    A helper continues them when it sees the end of its input, which also comes if this process is killed: nobody else
    could end them then.
    """
    line = ["sh", "-c", "kill -CONT $(cat)"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as helper:
        assert helper.stdin is not None
        pids: set[int] = set()
        while new := set(carriers(name)) - pids:  # One may have started another that was not there yet.
            pids |= new
            helper.stdin.write("".join(f"{pid}\n" for pid in new).encode())
            helper.stdin.flush()
            for pid in new:
                kill(pid, signal.SIGSTOP)
        yield


def kill(pid: int, number: int) -> None:
    """Send a signal to a process, unless it has ended."""
    try:
        os.kill(pid, number)
    except OSError:
        return  # The process has ended.
