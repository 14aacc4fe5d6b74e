"""Which hosts of an option `--host a:4,b:4` answer, and the same options without the hosts that do not."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dpnet.launch.flags import flavour_flags
from dpnet.launch.options import RANKS, num_ranks

LISTS = ("host", "hosts", "H")
"""Options whose value is a list of hosts, each with or without `:slots`."""
HERE = ("localhost", "127.0.0.1")
REACH = {"launcher": 1, "launcher-exec": 1, "iface": 1, "launch-agent": 1, "prefix": 1, "mca": 2, "prtemca": 2}
"""Options that say how a host is reached, with their number of values."""
REACH_PARAMETERS = ("plm_", "oob_", "ras_", "prte_")
TIMEOUT_S = 10.0
PROBE = ("sleep", "0.5")
"""Not `true`: Open MPI's mpirun may miss the end of a process that ends before its start was reported, and hang."""


@dataclass(frozen=True)
class Host:
    """An entry of a list of hosts; an entry without a number of slots has one slot."""

    entry: str

    @property
    def name(self) -> str:
        """Name by which the host is reached."""
        return self.entry.partition(":")[0]

    @property
    def slots(self) -> int | None:
        """Number of ranks that fit on the host; None: only mpirun knows."""
        _, colon, number = self.entry.partition(":")
        return (int(number) if number.isdecimal() else None) if colon else 1


def listed(options: Sequence[str]) -> list[Host]:
    """All hosts that the options list."""
    return [
        Host(entry)
        for name, value in itertools.pairwise(options)
        if _in_list(name)
        for entry in value.split(",")
        if entry
    ]


def all_here(options: Sequence[str]) -> bool:
    """Whether the options list hosts, all of which are this one."""
    mine = socket.gethostname()
    names = {host.name for host in listed(options)}
    return bool(names) and names <= {*HERE, mine, mine.partition(".")[0]}


def _in_list(option: str) -> bool:
    return option.startswith("-") and option.lstrip("-") in LISTS


def leave_out(options: Sequence[str], lost: set[str]) -> list[str]:
    """The options without the lost hosts, and with no more ranks than fit on the others, if all fitted before."""
    before = listed(options)
    room_before = _room(before)
    room = _room([host for host in before if host.name not in lost])
    ranks = num_ranks(options) or 1
    fitted = room_before is not None and room is not None and ranks <= room_before
    result: list[str] = []
    for place, word in enumerate(options):
        name = options[place - 1] if place else ""
        if _in_list(name):
            word = ",".join(entry for entry in word.split(",") if Host(entry).name not in lost)
            if not word:
                result.pop()  # Nothing is left of this list.
                continue
        elif name in RANKS and fitted and room is not None:
            word = str(min(ranks, room))
        result.append(word)
    return result


def _room(hosts: Sequence[Host]) -> int | None:
    slots = [host.slots for host in hosts]
    return None if None in slots else sum(filter(None, slots))


def reach_options(options: Sequence[str]) -> list[str]:
    """The options, of those given, that say how hosts are reached."""
    found: list[str] = []
    for place, word in enumerate(options):
        name = word.lstrip("-") if word.startswith("-") else ""
        values = list(options[place + 1 : place + 1 + REACH.get(name, 0)])
        if name in REACH and (len(values) == 1 or values[0].startswith(REACH_PARAMETERS)):
            found += [word, *values]
    return found


def silent(mpirun: str, options: Sequence[str], timeout_s: float = TIMEOUT_S) -> set[str]:
    """Names of the listed hosts on which mpirun cannot start a process in time; all are tried at once."""
    started = {name: _probe(mpirun, options, name) for name in {host.name for host in listed(options)}}
    end = time.monotonic() + timeout_s
    lost = set()
    for name, process in started.items():
        try:
            failed = process.wait(max(0.0, end - time.monotonic())) != 0
        except subprocess.TimeoutExpired:
            failed = True
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if failed:
            lost.add(name)
    return lost


def _probe(mpirun: str, options: Sequence[str], name: str) -> subprocess.Popen[bytes]:
    option = next(word for word in options if _in_list(word))
    own = [*reach_options(options), option, name, "-n", "1"]
    line = [mpirun, *flavour_flags(mpirun, own), *own, *PROBE]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(line, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def those_that_answer(mpirun: str, options: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """The options without the hosts that do not answer; unchanged if none answers, as the fault is elsewhere then.

    Args:
        mpirun: its path.
        options: for mpirun.
        say: prints a line about the hosts that are left out.
    """
    hosts = {host.name for host in listed(options)}
    lost = silent(mpirun, options) if hosts else set()
    if not lost:
        return list(options)
    if lost == hosts:
        say("no host answers; trying all of them")
        return list(options)
    left = leave_out(options, lost)
    ranks, before = num_ranks(left), num_ranks(options)
    fewer = f"; -n {ranks} in place of {before}" if ranks != before else ""
    say(f"left out, as they do not answer: {', '.join(sorted(lost))}{fewer}")
    return left
