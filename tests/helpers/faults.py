"""Jobs that something happens to, for the tests in tests/fault."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from helpers.jobs import curve
from helpers.mpirun import Started, mpirun, run_command
from helpers.patience import PATIENCE
from helpers.vendor import vendor

JOB = """
[model]
hidden_layers = [32]
[train]
epochs = {epochs}
global_batch_size = 100
reproducible_shards = 4
[optimizer]
clip_norm = 1.0
[evaluate]
every_steps = 37
[checkpoint]
every_steps = {every_steps}
[output]
log_every_steps = 7
"""
FT = ["--with-ft", "ulfm", "--mca", "mpi_ft_propagator_with_rbcast", "true", "--mca", "coll", "^han"]
RANK_NAMES = (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK")

DEEDS = """
import json, os, signal, sys, threading, time
from dpnet.whereabouts import PHASES, Whereabouts
from dpnet.environment import launched

deeds = [deed for deed in json.loads(os.environ["DPNET_TEST_DEEDS"]) if deed["rank"] == launched().rank]
enter, counts = Whereabouts.enter, dict.fromkeys([*PHASES, "row", "conclusion"], 0)

def do(what, number=None):
    if what == "loop":
        while True: pass
    if what == "sleep":
        time.sleep(number)
    else:
        os.kill(os.getpid(), getattr(signal, what))

def come_to(name):
    counts[name] += 1
    for deed in deeds:
        if deed["phase"] == name and deed.get("each", deed["call"] == counts[name]):
            if deed.get("delay_s"):
                threading.Timer(deed["delay_s"], do, [deed["what"]]).start()
            else:
                do(deed["what"], deed.get("seconds"))

def entering(self, phase):
    enter(self, phase)
    if not any(counts.values()):
        is_about_steps = lambda event: type(event).__name__ == "StepsTaken"
        watch("row", "dpnet.output.metrics_file", "MetricsFile", "write", is_about_steps)
        watch("conclusion", "dpnet.comm.world", "MpiWorld", "conclude")
    come_to(PHASES[phase])

def watch(name, module, owner, method, counts_for=lambda *arguments: True):
    if module in sys.modules:
        owner = getattr(sys.modules[module], owner)
        original = getattr(owner, method)

        def watched(self, *arguments):
            if counts_for(*arguments):
                come_to(name)
            original(self, *arguments)

        setattr(owner, method, watched)

Whereabouts.enter = entering
from dpnet.resilience import pace
pace.WINDOW_S, pace.EVERY_STEPS = 0.2, 20  # Short trainings are long enough to find out what slows them down.
from dpnet.__main__ import main
main()
"""
"""A dpnet command that does something to itself when it enters a phase for the so-many-th time, or a moment later.

Two more count as phases: "row", in which rank 0 is about to write a row on training steps, and "conclusion", in which
all is written, and the ranks agree that this is the end.
"""


def write_job(folder: Path, epochs: int = 20, every_steps: int = 20) -> Path:
    """A job file; `every_steps` is from one checkpoint to the next."""
    path = folder / "job.toml"
    path.write_text(JOB.format(epochs=epochs, every_steps=every_steps))
    return path


def survivable(num_ranks: int) -> list[str]:
    """The start of a command line for ranks that may be lost."""
    start = mpirun(num_ranks)
    return [start[0], *FT, *start[1:]] if vendor() == "Open MPI" else start


def train_arguments(job: Path, output: Path, *settings: str) -> list[str]:
    return ["train", str(job), "--output", str(output), *(part for text in settings for part in ("--set", text))]


def run_with_deeds(
    launcher: Sequence[str],
    folder: Path,
    arguments: Sequence[str],
    deeds: Sequence[dict[str, Any]],
    *,
    timeout_s: float,
) -> tuple[int | None, str]:
    """Run a dpnet command in which ranks do something to themselves; returns exit code and output."""
    command, env = command_with_deeds(launcher, folder, arguments, deeds)
    return run_command(command, timeout_s=timeout_s, env=env)


def command_with_deeds(
    launcher: Sequence[str], folder: Path, arguments: Sequence[str], deeds: Sequence[dict[str, Any]]
) -> tuple[list[str], dict[str, str]]:
    """A dpnet command in which ranks do something to themselves, and the variables that it needs."""
    script = folder / "deeds.py"
    script.write_text(DEEDS)
    return [*launcher, sys.executable, str(script), *arguments], {"DPNET_TEST_DEEDS": json.dumps(deeds)}


def undisturbed(folder: Path, job: Path, *settings: str) -> Path:
    """The run directory of the same job on one rank, to which nothing happens."""
    output = folder / "undisturbed"
    command = [sys.executable, "-m", "dpnet", *train_arguments(job, output, *settings)]
    code, text = run_command(command, timeout_s=120)
    assert code == 0, text
    return output


def summary(output: Path) -> dict[str, Any]:
    return json.loads((output / "summary.json").read_text())


def assert_same_result(output: Path, undisturbed_run: Path) -> None:
    """Assert that two trainings ended alike, to the bit, and had the same learning curve."""
    result, expected = summary(output), summary(undisturbed_run)
    for key in ("status", "steps", "digest", "eval_accuracy", "eval_loss"):
        assert result[key] == expected[key], key
    assert curve(output) == curve(undisturbed_run)


def wait_for(condition: Callable[[], bool], timeout_s: float = 40) -> bool:
    """Whether the condition comes true in time, PATIENCE taken into account."""
    deadline = time.monotonic() + PATIENCE * timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def pid_of_rank(job: Started, rank: int) -> int:
    for pid in job.pids():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            is_python = b"dpnet" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if is_python and any(name + b"=%d" % rank in variables for name in RANK_NAMES):
            return pid
    raise AssertionError(f"no process of rank {rank}: {job.read()}")
