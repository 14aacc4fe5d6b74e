"""What the launcher says about this process, read from the environment: before MPI, and without it.

Three families of names exist. Open MPI's mpirun sets OMPI_COMM_WORLD_*; MPICH's and Intel's mpiexec, and
`srun --mpi=pmi2`, set PMI_*; srun sets SLURM_* in every step. They are tried in this order, because an mpirun inside a
Slurm job inherits the names of Slurm.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Launched:
    """This process as its launcher sees it.

    Attributes:
        rank: number of this process among all that the launcher started, from 0.
        world_size: number of processes that the launcher started.
        local_world_size: how many of them run on this host; 1 where the launcher does not tell.
        size_name: the variable that world_size comes from.
    """

    rank: int
    world_size: int
    local_world_size: int
    size_name: str


NAMES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE"),
)
"""(rank, world_size, local_world_size) of each family."""

RANKS_PER_NODE = "DPNET_RANKS_PER_NODE"
"""Pretends that every so many ranks are a node, to try out on one machine what happens on several."""

QUOTA_FILE = "/sys/fs/cgroup/cpu.max"
"""Microseconds of processor time, or "max", in each period of so many microseconds."""


def launched(environ: Mapping[str, str] = os.environ) -> Launched:
    """What the launcher set; one rank of one where no launcher did."""
    for rank_name, size_name, local_name in NAMES:
        rank, size = environ.get(rank_name, ""), environ.get(size_name, "")
        if rank.isdecimal() and size.isdecimal():
            local = _of_this_node(environ.get(local_name, ""), environ.get("SLURM_NODEID", ""))
            return Launched(int(rank), int(size), local, size_name)
    return Launched(0, 1, 1, "")


def ranks_per_node(environ: Mapping[str, str] = os.environ) -> int | None:
    """Set by a user who wants this node to be treated as several; None: nodes are what MPI says they are."""
    value = environ.get(RANKS_PER_NODE, "")
    return int(value) if value.isdecimal() and int(value) > 0 else None


def _of_this_node(text: str, node: str) -> int:
    """A number; or the one for node `node` of Slurm's list of all nodes: "4,2(x3)" is 4 and three times 2."""
    if text.isdecimal():
        return int(text)
    parts = [re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part) for part in text.split(",")]
    tasks = [int(part[1]) for part in parts if part for _ in range(int(part[2] or 1))]
    return tasks[int(node)] if None not in parts and node.isdecimal() and int(node) < len(tasks) else 1


def core_set() -> frozenset[int]:
    """The processor cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return frozenset(affinity(0) if affinity else range(os.cpu_count() or 1))


def available_cores(core_sets: Iterable[frozenset[int]] = ()) -> int:
    """Number of cores for this process: those it may run on, no more than the CPU quota of its cgroup.

    Args:
        core_sets: of all processes that share the cores out; without any, of this one alone.
    """
    cores = len(frozenset().union(*core_sets) or core_set())
    try:
        quota, period = Path(QUOTA_FILE).read_text().split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return cores
