"""Trainings as jobs of a real Slurm (helpers/slurm.py): slow ones that leave the processor to others, and know where
their ranks run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from helpers.faults import summary, wait_for
from helpers.own_files import ROOT
from helpers.patience import PATIENCE
from helpers.slurm import Slurm
from helpers.vendor import vendor

from dpnet.compute.threads import VARIABLES
from dpnet.output.metrics_file import last_step

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
PLUGIN = {"Open MPI": "pmix", "MPICH": "pmi2"}
HOOK = """
import os, socket, time
words = open("/proc/self/cmdline").read().split("\\0")
if "train" in words and "launch" not in words:
    from dpnet.whereabouts import PHASES, Whereabouts
    enter, pause_s = Whereabouts.enter, float(os.environ["DPNET_TEST_PAUSE_S"])
    unwritten = [os.environ["DPNET_TEST_RANKS_FILE"]]

    def entering(self, phase):
        enter(self, phase)
        if PHASES[phase] == "forward":
            time.sleep(pause_s)
            if unwritten:
                with open(unwritten.pop(), "a") as file:
                    file.write(socket.gethostname() + " " + os.environ["OMP_NUM_THREADS"] + "\\n")

    Whereabouts.enter = entering
"""
"""In every Python of a job: a rank writes down its host and its threads, and sleeps in each step."""
SCRIPTS = {
    "mpirun": """
. {root}/launch/env.sh
mpirun dpnet train "$@"
""",
    "srun": """
srun --mpi={plugin} --kill-on-bad-exit=1 dpnet train "$@"
""",
    "no signal": """
exec dpnet launch --grace 5 -- train "$@"
""",
    "no exec": """
dpnet launch --grace 5 -- train "$@"
""",
}
"""What users write who do without the files of launch/."""
TOML = """
[model]
hidden_layers = [32]
[train]
steps = {steps}
kernels = "numpy"
blas = "numpy"
global_batch_size = 100
reproducible_shards = {shards}
[evaluate]
every_steps = 0
[checkpoint]
every_steps = 20
[output]
log_every_steps = 5
progress = "none"
"""


def write_job(folder: Path, *, steps: int, shards: int = 4) -> Path:
    """A job file."""
    path = folder / f"job-{steps}-{shards}.toml"
    path.write_text(TOML.format(steps=steps, shards=shards))
    return path


def recipe(folder: Path, name: str) -> Path:
    """The batch script of a way to start ranks: a file of launch/, or one of SCRIPTS."""
    if name not in SCRIPTS:
        return ROOT / "launch" / name
    path = folder / f"{name.replace(' ', '-')}.sh"
    text = SCRIPTS[name].format(root=ROOT, plugin=PLUGIN[vendor()])
    path.write_text(f'#!/bin/bash\nset -eu\n. "$VENV/bin/activate"{text}')
    return path


class Submitted:
    """A training that was submitted.

    Args:
        slurm: to which.
        folder: in which its files are made.
        name: of the script, see `recipe`.
        job: job file.
        options: of sbatch, with `--key=value`.
        pause_s: that each rank sleeps in each step.
        settings: of dpnet train.

    Attributes:
        number: of the job; of an array its first task's, which is meant by all that follows.
        output: its run directory.
    """

    def __init__(
        self,
        slurm: Slurm,
        folder: Path,
        name: str,
        job: Path,
        *options: str,
        pause_s: float = 0.0,
        settings: tuple[str, ...] = (),
    ) -> None:
        self.slurm, self.name, self._folder = slurm, name, folder
        folder.mkdir(exist_ok=True)
        self.output, self._text, self._ranks = folder / "run", folder / "output.txt", folder / "ranks"
        is_array = any(word.startswith("--array") for word in options)
        where = () if is_array else ("--output", str(self.output))
        line = [
            "sbatch",
            "--parsable",
            f"--output={folder}/output.txt",
            f"--chdir={folder}",
            "--open-mode=append",
            *options,
        ]
        line += [str(recipe(folder, name)), str(job), *where, *settings]
        environ = {"VENV": _environment(folder), "DPNET_TEST_PAUSE_S": str(pause_s)}
        environ |= {"DPNET_TEST_RANKS_FILE": str(self._ranks), "PYTHONPATH": _hooked(folder)}
        unset = [word for variable in VARIABLES for word in ("-u", variable)]
        assignments = [f"{variable}={value}" for variable, value in environ.items()]
        self.number = slurm.call("env", *unset, *assignments, *line).strip() + ("_0" if is_array else "")
        self.output = folder / "runs/seed-0" if is_array else self.output

    def read(self) -> str:
        """What the job has printed."""
        return self._text.read_text(errors="replace") if self._text.exists() else ""

    def ranks(self) -> list[tuple[str, int]]:
        """The host and the threads of each rank that has taken a step, sorted."""
        lines = self._ranks.read_text().splitlines() if self._ranks.exists() else []
        return sorted((host, int(threads)) for host, threads in map(str.split, lines))

    def at_step(self, step: int, timeout_s: float = 60) -> None:
        """Wait until the training is there."""
        there = wait_for(lambda: last_step(self.output / "metrics.jsonl") >= step, timeout_s)
        assert there, f"{self.name} {self.job()}: {self.read()}{self.slurm.log()}"

    def job(self) -> dict[str, str]:
        """What Slurm says of it."""
        return self.slurm.job(self.number)

    def ended(self, timeout_s: float = 120) -> str:
        """Wait for the end of the job, for good; returns its state."""
        end = time.monotonic() + timeout_s * PATIENCE
        while (state := self.job()["JobState"]) not in ENDED:
            assert time.monotonic() < end, f"{self.name} is {self.job()}: {self.read()}{self.slurm.log()}"
            time.sleep(0.2)
        return state

    def processes(self) -> dict[int, str]:
        """Command lines of all that runs for the job on the hosts, by process."""
        found = {}
        for pid in (pid for name in self.slurm.hosts.names for pid in self.slurm.hosts.pids(name)):
            try:
                if str(self._folder).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
        return found

    def status(self) -> str:
        """That of its summary; empty: there is none."""
        return str(summary(self.output)["status"]) if (self.output / "summary.json").exists() else ""


def _environment(folder: Path) -> str:
    """A folder as a virtual environment is, for the Python of the tests."""
    (folder / "venv/bin").mkdir(parents=True, exist_ok=True)
    above = os.path.dirname(sys.executable)
    (folder / "venv/bin/activate").write_text(f"export PATH={above}:$PATH\n")
    return str(folder / "venv")


def _hooked(folder: Path) -> str:
    (folder / "hook").mkdir(exist_ok=True)
    (folder / "hook/sitecustomize.py").write_text(HOOK)
    return os.pathsep.join(filter(None, [str(folder / "hook"), os.environ.get("PYTHONPATH", "")]))
