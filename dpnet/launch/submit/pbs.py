"""PBS Pro and OpenPBS: qsub takes scripts, qstat says how jobs are, qdel ends them. Not tried on a real PBS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dpnet.errors import ConfigError
from dpnet.launch.submit.request import Request
from dpnet.launch.submit.script import Directives, Training
from dpnet.launch.submit.tasks import SEED, Task, ask

ENDED = ("F", "X")
"""Finished; and so for a part of an array."""


class Pbs:
    """See Scheduler. The log is written where qsub was called, so that no path stands in a line that PBS reads."""

    program, script = "qsub", "job.pbs"

    def template(self, request: Request) -> str:
        """See Scheduler."""
        if request.srun:
            raise ConfigError("srun is of Slurm, and this is a job of PBS; leave --srun, or srun = true, out")
        return "pbs.sh"

    def directives(self, request: Request, training: Training) -> Directives:
        """See Scheduler."""
        ranks, cpus = request.ranks_per_node, request.cpus_per_rank
        changed = {
            "#PBS -N ": request.name,
            "#PBS -l select=": f"{request.nodes}:ncpus={ranks * cpus}:mpiprocs={ranks}:ompthreads={cpus}",
            "#PBS -l walltime=": request.time,
        }
        named = {"-q": request.partition, "-A": request.account}
        added = [f"#PBS {option} {value}" for option, value in named.items() if value]
        if training.seeds:
            added.append(f"#PBS -J {training.seeds[0]}-{training.seeds[-1]}")
        return Directives(changed, [*added, *(f"#PBS {option}" for option in request.options)])

    def line(self, script: Path) -> list[str]:
        """See Scheduler."""
        return ["qsub", script.name]

    def number(self, answer: str) -> str:
        """See Scheduler."""
        return answer.strip()

    def log(self, training: Training, request: Request, number: str) -> Path:
        """See Scheduler."""
        digits = re.match(r"\d*", number)
        assert digits is not None
        name = f"{request.name}.o{digits[0]}"
        return training.path / (f"{name}.{SEED}" if training.seeds else name)

    def stop(self, number: str) -> list[str]:
        """See Scheduler."""
        return ["qdel", number]

    def tasks(self, number: str) -> Mapping[str, Task] | None:
        """See Scheduler. An array is told of as a whole, without an exit code."""
        shown, complaint = ask(["qstat", "-x", "-f", number])
        if not shown:
            return {} if "Unknown Job Id" in complaint else None
        if (state := re.search(r"job_state = (\w)", shown)) is None:
            return None
        code, has_ended = re.search(r"Exit_status = (-?\d+)", shown), state[1] in ENDED
        is_known = has_ended and code is not None and "[" not in number
        return {number: Task(state[1], has_ended, abs(int(code[1])) if is_known and code else None)}
