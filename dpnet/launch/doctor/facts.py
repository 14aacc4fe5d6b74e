"""What one rank sees of itself and of its host, for the checks."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np

from dpnet.about import __version__
from dpnet.comm.group import World
from dpnet.compute.anonymous import FOLDER
from dpnet.compute.cores.available import core_set
from dpnet.compute.cores.quota import groups, quota
from dpnet.compute.cores.usage import busy_shares
from dpnet.compute.fingerprint import blas_in_words, fingerprint
from dpnet.compute.loops.choose import numba_is_installed, numba_obstacle
from dpnet.compute.products.choose import choose_products, instructions
from dpnet.compute.threads import threads_from_user

WATCHED_S = 0.3
"""How long the cores are watched for what others do on them."""
PACKAGES = ("mpi4py", "numba", "mkl", "onednn-cpu-gomp")


@dataclass(frozen=True)
class Facts:
    """What a rank sees.

    Attributes:
        host: its host.
        cores: on which it may run.
        num_cores: of its host.
        quota: cores' worth of time that its cgroups grant; None: no limit.
        threads: of each rank, as the environment sets it; 0: it does not.
        busy: share of its cores that others use; None: unknown.
        library: the MPI library, see `World.library`; empty: there is none.
        versions: of what is installed, by name.
        blas: numpy's BLAS, in words.
        products: the library of matrix products that `train.blas = "auto"` takes.
        processor: its instructions, see `instructions`.
        memory: bytes of memory that are free for this host's processes.
        shared: bytes of shared memory that are free; None: there is none.
        cache: why numba cannot compile loops, or not keep them; empty: it can, or is not installed.
        nodes_allocated: hosts that the scheduler has given to the job; None: unknown.
    """

    host: str
    cores: frozenset[int]
    num_cores: int
    quota: float | None
    threads: int
    busy: float | None
    library: str
    versions: Mapping[str, str]
    blas: str
    products: str
    processor: str
    memory: int
    shared: int | None
    cache: str
    nodes_allocated: int | None = None


def facts(group: World) -> Facts:
    """Look; all ranks at the same time, after a barrier, as they sleep while the cores are watched."""
    cores = core_set()
    busy = busy_shares(cores, WATCHED_S)
    products = choose_products("auto")
    return Facts(
        host=group.host,
        cores=cores,
        num_cores=os.cpu_count() or len(cores),
        quota=quota(),
        threads=threads_from_user(),
        busy=sum(busy) / len(busy) if busy else None,
        library=group.library,
        versions=_versions(),
        blas=", ".join(map(blas_in_words, fingerprint(products)["blas"])) or "unknown",
        products=products,
        processor=instructions() or "unknown",
        memory=free_memory(),
        shared=free_bytes(Path(FOLDER)),
        cache=_cache(),
        nodes_allocated=_allocated(),
    )


def _versions() -> dict[str, str]:
    found = {"dpnet": __version__, "Python": platform.python_version(), "numpy": np.__version__}
    for name in PACKAGES:
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _allocated() -> int | None:
    """Hosts of the job, by Slurm or by PBS."""
    number = os.environ.get("SLURM_JOB_NUM_NODES", "")
    if number.isdecimal():
        return int(number)
    try:
        return len(set(Path(os.environ["PBS_NODEFILE"]).read_text().split()))
    except (OSError, KeyError):
        return None


def free_bytes(folder: Path) -> int | None:
    """Bytes that are free in a file system; None: there is no such folder."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def free_memory() -> int:
    """Bytes of memory that processes of this host may still take, or those of this cgroup; 0: unknown."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
    free = int(lines.get("MemAvailable", "0 kB").split()[0]) << 10
    for folder in groups():
        try:
            granted = int((folder / "memory.max").read_text())
            free = min(free, granted - int((folder / "memory.current").read_text()))
        except (OSError, ValueError):
            continue  # It has no limit, or its limit is elsewhere.
    return max(0, free)


def _cache() -> str:
    if not numba_is_installed():
        return ""
    if why := numba_obstacle():
        return why
    from dpnet.compute.loops.cache import unwritable  # It imports numba, which works now.

    return unwritable()
