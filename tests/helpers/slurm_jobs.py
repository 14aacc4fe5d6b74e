"""Trainings as jobs of a real Slurm (helpers/slurm.py): slow ones that leave the processor to others, and know where
their ranks run."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from helpers.faults import summary, wait_for
from helpers.mpirun import vendor
from helpers.own_files import ROOT
from helpers.patience import PATIENCE
from helpers.slurm import Slurm

from dpnet.compute.threads import VARIABLES
from dpnet.output.metrics_file import last_step

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
PLUGIN = {"Open MPI": "pmix", "MPICH": "pmi2"}
HOOK = """
import os, socket, sys, time
words = open("/proc/self/cmdline").read().split("\\0")
if "train" in words and "launch" not in words:
    with open(os.environ["DPNET_TEST_HOSTS_FILE"], "a") as file:
        file.write(socket.gethostname() + "\\n")
    from dpnet.whereabouts import PHASES, Whereabouts
    enter, pause_s = Whereabouts.enter, float(os.environ.get("DPNET_TEST_PAUSE_S", "0"))

    def entering(self, phase):
        enter(self, phase)
        if PHASES[phase] == "forward":
            time.sleep(pause_s)

    Whereabouts.enter = entering
"""
"""In every Python of a job: a rank writes down its host, and sleeps in each step."""
MPIRUN = """#!/bin/bash
. "$VENV/bin/activate"
. launch/env.sh
mpirun dpnet train "$@"
"""
SRUN = """#!/bin/bash
. "$VENV/bin/activate"
srun --mpi={plugin} --kill-on-bad-exit=1 dpnet train "$@"
"""
WITHOUT_EXEC = """#!/bin/bash
. "$VENV/bin/activate"
dpnet launch --grace 5 -- train "$@"
echo "not reached if the script has died"
"""
TOML = """
[model]
hidden_layers = [32]
[train]
steps = {steps}
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
    """The batch script of a way to start ranks: a file of launch/, or what users write who do without dpnet launch."""
    if name.endswith(".sbatch"):
        return ROOT / "launch" / name
    texts = {"mpirun": MPIRUN, "srun": SRUN.format(plugin=PLUGIN[vendor()]), "without exec": WITHOUT_EXEC}
    path = folder / f"{name.replace(' ', '-')}.sh"
    path.write_text(texts[name])
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
        number: of the job.
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
        self.slurm, self.name = slurm, name
        folder.mkdir(exist_ok=True)
        self.output, self._text, self._hosts = folder / "run", folder / "output.txt", folder / "hosts"
        where = () if any(word.startswith("--array") for word in options) else ("--output", str(self.output))
        line = ["sbatch", "--parsable", f"--output={folder}/output.txt", f"--chdir={ROOT}", *options]
        line += [str(recipe(folder, name)), str(job), *where, *settings]
        environ = {"VENV": _environment(folder), "DPNET_TEST_PAUSE_S": str(pause_s)}
        environ |= {"DPNET_TEST_HOSTS_FILE": str(self._hosts), "PYTHONPATH": _hooked(folder)}
        unset = [word for variable in VARIABLES for word in ("-u", variable)]
        assignments = [f"{variable}={value}" for variable, value in environ.items()]
        self.number = slurm.call("env", *unset, *assignments, *line).strip()

    def read(self) -> str:
        """What the job has printed."""
        return self._text.read_text(errors="replace") if self._text.exists() else ""

    def ranks(self) -> Mapping[str, int]:
        """How many ranks have started on each host."""
        return Counter(self._hosts.read_text().split()) if self._hosts.exists() else {}

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
