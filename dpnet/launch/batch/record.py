"""What the scheduler says about a batch job: when it ends, and whether it may run again."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dpnet.allocation import PBS, SLURM, Allocation

ASK_S = 10.0
"""Seconds that a scheduler has to answer."""
END_TIME = "SLURM_JOB_END_TIME"
WALLTIME = "PBS_WALLTIME"


@dataclass(frozen=True)
class Record:
    """A batch job, as its scheduler has it.

    Attributes:
        end_s: when it ends at the latest, in seconds of time.time; None: unknown.
        state: in Slurm's words; empty: unknown.
        may_requeue: it is a batch job that its user allows to run again.
        is_batch: it has a script, and no user who types.
        script: path of its script; empty: unknown.
    """

    end_s: float | None = None
    state: str = ""
    may_requeue: bool = False
    is_batch: bool = True
    script: str = ""


def record(job: Allocation, environ: Mapping[str, str] = os.environ) -> Record:
    """What the scheduler says now about a job; of what it does not say in time, nothing is known."""
    if job.scheduler == SLURM:
        return _of_slurm(answer(["scontrol", "--oneliner", "show", "job", job.job]), environ)
    return _of_pbs(answer(["qstat", "-f", job.job]), environ) if job.scheduler == PBS else Record()


def answer(line: Sequence[str]) -> str:
    """What a command of the scheduler prints; empty where there is none, or it fails."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=ASK_S, check=False
        )
        return "" if done.returncode else done.stdout
    return ""


def _of_slurm(text: str, environ: Mapping[str, str]) -> Record:
    said = dict(re.findall(r"(\w+)=(\S*)", text))
    end = environ.get(END_TIME, "")
    end_s = float(end) if end.isdecimal() else None
    with contextlib.suppress(ValueError, KeyError):  # "Unknown", or nothing.
        end_s = time.mktime(time.strptime(said["EndTime"], "%Y-%m-%dT%H:%M:%S"))
    return Record(
        end_s=None if said.get("TimeLimit") == "UNLIMITED" else end_s,
        state=said.get("JobState", ""),
        may_requeue=said.get("Requeue") == "1" and said.get("BatchFlag") == "1",
        is_batch=said.get("BatchFlag", "1") == "1",
        script=said.get("Command", ""),
    )


def _of_pbs(text: str, environ: Mapping[str, str]) -> Record:
    """PBS Pro and OpenPBS tell what a job may take and has taken; Torque has a variable for the former."""
    limit = re.search(r"Resource_List\.walltime = ([\d:]+)", text)
    used = re.search(r"resources_used\.walltime = ([\d:]+)", text)
    limit_s = _seconds(limit[1]) if limit else None
    if limit_s is None and environ.get(WALLTIME, "").isdecimal():
        limit_s = float(environ[WALLTIME])
    end_s = None if limit_s is None else time.time() + limit_s - (_seconds(used[1]) if used else 0.0)
    return Record(end_s=end_s, is_batch=environ.get("PBS_ENVIRONMENT") != "PBS_INTERACTIVE")


def _seconds(text: str) -> float:
    """`01:30:00`, `30:00` or `90`."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part or 0)
    return seconds
