"""Which scheduler takes a job."""

from __future__ import annotations

import shutil

from dpnet.errors import ConfigError
from dpnet.launch.submit.pbs import Pbs
from dpnet.launch.submit.request import PBS, SLURM
from dpnet.launch.submit.slurm import Slurm
from dpnet.launch.submit.tasks import Scheduler

SCHEDULERS: dict[str, type[Scheduler]] = {SLURM: Slurm, PBS: Pbs}


def choose_scheduler(asked: str, *, must_be_here: bool) -> Scheduler:
    """The scheduler that is asked for, or whose program is installed.

    Args:
        asked: its name; empty: whichever there is.
        must_be_here: it is to take a job.

    Raises:
        ConfigError: there is none here, or there are two.
    """
    here = [name for name, scheduler in SCHEDULERS.items() if shutil.which(scheduler.program)]
    if asked:
        found = SCHEDULERS[asked]()
        if must_be_here and asked not in here:
            raise ConfigError(
                f"there is no {found.program} on PATH: submit where users of the cluster log in, or load the module "
                f"that has it; --dry-run shows the script without it"
            )
        return found
    if len(here) != 1:
        seen = "both sbatch and qsub are" if here else "neither sbatch nor qsub is"
        raise ConfigError(f"{seen} on PATH; say which the cluster has: --scheduler slurm or --scheduler pbs")
    return SCHEDULERS[here[0]]()
