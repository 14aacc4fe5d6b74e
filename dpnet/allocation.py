"""The allocation: the hosts of a batch job, and the ranks that each is to have, as variables of Slurm or PBS say.

Both the launcher and the ranks read it: the one places ranks by it, the others compare where they run with it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dpnet.environment import tasks_of_nodes
from dpnet.errors import ConfigError

SLURM, PBS = "Slurm", "PBS"
_ENTRY = re.compile(r"([^,\[\]]+|\[[^\[\]]*\])+")
"""An entry of Slurm's list of nodes: commas within brackets do not end it."""
_PART = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")


@dataclass(frozen=True)
class Allocation:
    """The hosts of a batch job.

    Attributes:
        scheduler: SLURM or PBS.
        job: name of the job, as the scheduler's commands take it.
        tasks: ranks by host, in the scheduler's order.
        cpus_per_task: of a rank; None: the scheduler does not say.
    """

    scheduler: str
    job: str
    tasks: Mapping[str, int]
    cpus_per_task: int | None = None


def allocation(environ: Mapping[str, str] = os.environ) -> Allocation | None:
    """The allocation that this process belongs to; None: it is in no batch job of Slurm or PBS.

    Raises:
        ConfigError: the variables cannot be read, or contradict each other.
    """
    if environ.get("SLURM_JOB_ID") and environ.get("SLURM_JOB_NODELIST"):
        return _of_slurm(environ)
    if environ.get("PBS_JOBID") and environ.get("PBS_NODEFILE"):
        return _of_pbs(environ)
    return None


def _of_slurm(environ: Mapping[str, str]) -> Allocation:
    # A step, such as that of an interactive shell, may have a part of the job.
    in_step = environ.get("SLURM_STEP_NODELIST") and "SLURM_STEP_TASKS_PER_NODE" in environ
    names = ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")
    names = names if in_step else ("SLURM_JOB_NODELIST", "SLURM_TASKS_PER_NODE")
    hosts = expand(environ[names[0]])
    tasks = tasks_of_nodes(environ.get(names[1], "")) if environ.get(names[1]) else [1] * len(hosts)
    if tasks is None or len(tasks) != len(hosts):
        raise ConfigError(
            f"{names[0]}={environ[names[0]]} and {names[1]}={environ[names[1]]} do not belong together: they stand for "
            f"{len(hosts)} and {'no' if tasks is None else len(tasks)} numbers of ranks; give hosts and ranks yourself "
            "(-n N --host ...)"
        )
    cpus = environ.get("SLURM_CPUS_PER_TASK", "")
    array = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    job = "_".join(filter(None, array)) if all(array) else environ["SLURM_JOB_ID"]
    return Allocation(SLURM, job, dict(zip(hosts, tasks, strict=True)), int(cpus) if cpus.isdecimal() else None)


def _of_pbs(environ: Mapping[str, str]) -> Allocation | None:
    path = environ["PBS_NODEFILE"]
    try:
        with open(path) as file:
            tasks = Counter(file.read().split())
    except FileNotFoundError:
        return None  # It is on the first host alone.
    except OSError as error:
        raise ConfigError(f"cannot read the hosts of this job, PBS_NODEFILE={path}: {error.strerror}") from error
    return Allocation(PBS, environ["PBS_JOBID"], dict(tasks)) if tasks else None


def expand(text: str) -> list[str]:
    """The names in Slurm's list of nodes: `a[1-2,07],b` stands for a1, a2, a07, b."""
    hosts = []
    for entry in _ENTRY.finditer(text):
        parts = [_numbers(inside) if inside else [plain] for inside, plain in _PART.findall(entry[0])]
        hosts += ["".join(chosen) for chosen in itertools.product(*parts)]
    return hosts


def _numbers(text: str) -> list[str]:
    """`1-3,07` stands for 1, 2, 3, 07; zeros in front stay."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last.isdecimal() and first.isdecimal():
            found += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        else:
            found.append(part)
    return found
