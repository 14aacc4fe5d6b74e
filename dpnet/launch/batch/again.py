"""Another turn for a batch job whose training was cut off: its scheduler starts it once more."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping

from dpnet.allocation import SLURM, Allocation
from dpnet.launch.batch.record import ASK_S, Record, record

RESTARTS = "SLURM_RESTART_COUNT"
RUNNING = "RUNNING"
"""State of a job that nobody is ending. COMPLETING is one that its user has cancelled, and one that Slurm ends itself,
and starts again if it is to."""


def restarts(environ: Mapping[str, str] = os.environ) -> int:
    """How often the scheduler has started this job again."""
    text = environ.get(RESTARTS, "")
    return int(text) if text.isdecimal() else 0


def again(job: Allocation, goes_on: str) -> tuple[bool, str]:
    """Put a batch job back into the queue, if its scheduler and its user allow it.

    Args:
        job: the allocation.
        goes_on: where the training goes on, in words, for the end of a sentence.

    Returns:
        whether it is in the queue again, and what became of it, in words.
    """
    now = record(job)
    if now.state not in (RUNNING, ""):
        return False, f"the job is {now.state}, and is not queued again from here; started again, it goes on{goes_on}"
    if job.scheduler != SLURM:
        return False, f"type qsub and the script of this job again; it goes on{goes_on}"
    if now.state and not now.may_requeue:
        return False, f"this job is not to be queued again (sbatch --requeue allows that). {by_hand(now, goes_on)}"
    line = ["scontrol", "requeue", job.job]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=ASK_S, check=False)
        why = done.stderr.strip() or done.stdout.strip() if done.returncode else ""
    except OSError as error:
        why = f"{line[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        why = f"no answer within {ASK_S:g} s"
    if why:
        return False, f"cannot queue the job again ({why}). {by_hand(now, goes_on)}"
    return True, f"the job is queued again ({shlex.join(line)}); it goes on{goes_on}"


def by_hand(job: Record, goes_on: str) -> str:
    """What a user types to start the job again."""
    script = shlex.quote(job.script) if job.script else "and its script"
    return f"Type: sbatch {script}; it goes on{goes_on}"
