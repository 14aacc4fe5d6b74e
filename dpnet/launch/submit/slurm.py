"""Slurm: sbatch takes scripts, scontrol says how jobs are, scancel ends them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dpnet.errors import ConfigError
from dpnet.launch.submit.request import Request
from dpnet.launch.submit.script import Directives, Training
from dpnet.launch.submit.tasks import SEED, Task, ask

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL")
SHORT_S = 600
"""Seconds of a job below which it gets no signal before its end, as Slurm sends that up to a minute early: at once."""


class Slurm:
    """See Scheduler."""

    program, script = "sbatch", "job.sbatch"

    def template(self, request: Request) -> str:
        """See Scheduler."""
        return "slurm-srun.sbatch" if request.srun else "slurm.sbatch"

    def directives(self, request: Request, training: Training) -> Directives:
        """See Scheduler."""
        changed: dict[str, str | None] = {
            "#SBATCH --job-name=": request.name,
            "#SBATCH --nodes=": str(request.nodes),
            "#SBATCH --ntasks-per-node=": str(request.ranks_per_node),
            "#SBATCH --cpus-per-task=": str(request.cpus_per_rank),
            "#SBATCH --time=": request.time,
            "#SBATCH --output=": _quoted(training.path, "slurm-%A_%a.out" if training.seeds else "slurm-%j.out"),
        }
        if request.time_s < SHORT_S:
            changed["#SBATCH --signal="] = None
        named = {"partition": request.partition, "account": request.account}
        added = [f"#SBATCH --{name}={value}" for name, value in named.items() if value]
        if training.seeds:
            added.append(f"#SBATCH --array={training.seeds[0]}-{training.seeds[-1]}")
        return Directives(changed, [*added, *(f"#SBATCH {option}" for option in request.options)])

    def line(self, script: Path) -> list[str]:
        """See Scheduler."""
        return ["sbatch", "--parsable", str(script)]

    def number(self, answer: str) -> str:
        """See Scheduler. Behind a semicolon stands the name of the cluster."""
        return answer.strip().partition(";")[0]

    def log(self, training: Training, request: Request, number: str) -> Path:
        """See Scheduler."""
        return training.path / (f"slurm-{number}_{SEED}.out" if training.seeds else f"slurm-{number}.out")

    def stop(self, number: str) -> list[str]:
        """See Scheduler."""
        return ["scancel", number]

    def tasks(self, number: str) -> Mapping[str, Task] | None:
        """See Scheduler."""
        shown, complaint = ask(["scontrol", "--oneliner", "show", "job", number])
        if not shown:
            return {} if "Invalid job id" in complaint else None
        found: dict[str, Task] = {}
        for line in shown.splitlines():
            record: dict[str, str] = dict(re.findall(r"(\w+)=(\S*)", line))
            if "JobState" in record:
                found[record.get("ArrayTaskId", number)] = _task(record)
        return found


def _task(record: Mapping[str, str]) -> Task:
    state = record["JobState"]
    code, _, signal = record.get("ExitCode", "").partition(":")
    if state not in ENDED:
        reason = record.get("Reason", "None")  # Slurm also takes jobs that no partition has hosts or time for.
        return Task(state if reason == "None" else f"{state} ({reason})", ended=False)
    if state == "COMPLETED":
        return Task(state, ended=True, code=0)
    died = 128 + int(signal) if signal.isdecimal() and int(signal) else 0
    return Task(state, ended=True, code=int(code or 0) or died or 1)


def _quoted(folder: Path, name: str) -> str:
    """The path of a log, as sbatch reads it in a script: in quotes, and with the name's % alone standing for something.

    Raises:
        ConfigError: sbatch could not read it.
    """
    text = str(folder)
    if "\\" in text or not text.isprintable():
        raise ConfigError(
            f"sbatch cannot write a log in {text!a}, for its backslash or control character; --output DIR"
        )
    escaped = text.replace("%", "%%").replace('"', '\\"')
    return f"{text}/{name}" if re.fullmatch(r"[\w./+:@=,-]+", text) else f'"{escaped}/{name}"'
