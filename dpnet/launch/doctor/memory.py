"""Checks of memory and shared memory: pure functions of what all ranks see."""

from __future__ import annotations

from collections.abc import Sequence

from dpnet.launch.doctor.facts import Facts
from dpnet.launch.doctor.finding import Finding, fault, ok
from dpnet.launch.doctor.ranks import by_host

LEAST_SHARED = 128 << 20
"""Bytes of shared memory that a small training and its MPI may take; a container has 64 MiB if nobody asks for more."""
LEAST_OF_RANK = 200 << 20
"""Bytes of memory that a rank takes before it has any data."""
SHARED_FIX = "make it larger: docker --shm-size=2g, in Kubernetes an emptyDir with medium: Memory at /dev/shm"


def check_memory(seen: Sequence[Facts]) -> list[Finding]:
    """Memory for all ranks of every host."""
    findings = []
    for host, ranks in by_host(seen).items():
        free = min(rank.memory for rank in ranks)
        if 0 < free < LEAST_OF_RANK * len(ranks):
            text = f"{gib(free)} are free on {host} for {len(ranks)} ranks of {gib(LEAST_OF_RANK)} and their data"
            findings.append(fault("memory", text, "start fewer ranks, or ask for more memory"))
    return findings or [ok("memory", f"{gib(min(rank.memory for rank in seen))} are free")]


def check_shared_memory(seen: Sequence[Facts]) -> list[Finding]:
    """Room in /dev/shm, where ranks of a host exchange what they compute."""
    findings = []
    for host, ranks in by_host(seen).items():
        shared = ranks[0].shared
        if shared is None:
            findings.append(fault("/dev/shm", f"there is none on {host}", "mount a tmpfs there"))
        elif shared < LEAST_SHARED:
            findings.append(fault("/dev/shm", f"{gib(shared)} are free on {host}", SHARED_FIX))
    free = min((rank.shared for rank in seen if rank.shared is not None), default=0)
    return findings or [ok("/dev/shm", f"{gib(free)} are free")]


def gib(number: int) -> str:
    """Bytes in words."""
    return f"{number / 2**30:,.1f} GiB" if number >= 2**30 else f"{number / 2**20:,.0f} MiB"
