"""What starts ranks in a batch job: the mpirun that belongs to this Python, or Slurm's srun."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from dpnet.allocation import SLURM, Allocation
from dpnet.errors import ConfigError
from dpnet.launch.batch.placement import HYDRA, INTEL, OPEN_MPI, SRUN, Place
from dpnet.launch.flags import find_mpirun, is_open_mpi, version
from dpnet.launch.options import Options, names


def find_starter(options: Options, job: Allocation | None) -> tuple[str, Place | None]:
    """The path of what starts ranks, and where it places them; None: not in a batch job.

    Raises:
        ConfigError: srun is asked for where there is none.
        CommunicationError: there is no mpirun.
    """
    if options.by_srun:
        path = shutil.which("srun")
        if job is None or job.scheduler != SLURM or path is None:
            raise ConfigError("--srun is for a job of Slurm, in which there is an srun; leave it out for mpirun")
        return path, Place(job, SRUN)
    path = find_mpirun()
    if job is None:
        return path, None
    kind = OPEN_MPI if is_open_mpi(path) else INTEL if "Intel" in version(path) else HYDRA
    return path, Place(job, kind)


def srun_flags(options: Sequence[str]) -> list[str]:
    """Flags with which srun starts the ranks of a training.

    Without the first, srun waits for ever for the others when a rank is killed. The plugin that sets up MPI is that
    for the library whose mpirun is installed: with the wrong one every rank would be alone.
    """
    given, flags = names(options), []
    if not given & {"kill-on-bad-exit", "K"}:
        flags.append("--kill-on-bad-exit=1")
    if "mpi" not in given:
        flags.append("--mpi=pmix" if is_open_mpi(find_mpirun()) else "--mpi=pmi2")
    return flags


def srun_variables() -> dict[str, str]:
    """Variables for ranks that srun starts: a wheel of Open MPI finds its files by one, which its mpirun would set."""
    mpirun = find_mpirun()
    above = os.path.dirname(os.path.dirname(mpirun))
    return {"OPAL_PREFIX": above} if is_open_mpi(mpirun) and "OPAL_PREFIX" not in os.environ else {}
