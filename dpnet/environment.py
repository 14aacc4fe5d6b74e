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


FT_FLAGS = {
    "OMPI_MCA_mpi_ft_enable": ("1", "true"),
    "OMPI_MCA_mpi_ft_propagator_with_rbcast": ("1", "true"),
    "OMPI_MCA_coll": ("^han",),
}
"""What mpirun of Open MPI hands on where its fault tolerance is on, and the component that sums wrongly after a loss is
off. That a process ended is seen by the launcher; only a host that falls silent needs the failure detector as well."""


def loss_obstacle(environ: Mapping[str, str] = os.environ) -> str:
    """Why the loss of a rank ends this job; empty: it does not."""
    family = launched(environ).size_name.partition("_")[0]
    if family != "OMPI":
        return {"PMI": "MPICH does not survive it", "SLURM": "srun ends the job step; start with dpnet launch"}.get(
            family, "there is one rank"
        )
    missing = [name for name, values in FT_FLAGS.items() if environ.get(name, "").lower() not in values]
    if len(missing) == len(FT_FLAGS):
        return "mpirun was started without fault tolerance; dpnet launch turns it on"
    return f"mpirun was started without {missing[0].removeprefix('OMPI_MCA_')}; dpnet launch sets it" if missing else ""


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
