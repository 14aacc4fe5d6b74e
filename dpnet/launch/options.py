"""The options in front of `--`: those of `dpnet launch` itself, and those of mpirun."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from dpnet.compute.cores.available import available_cores
from dpnet.environment import python_of_dpnet
from dpnet.errors import ConfigError

USAGE = "dpnet launch [-n N] [mpirun options] -- COMMAND ..., e.g.: dpnet launch -n 4 -- train job.toml"
RANKS = ("-n", "-np", "--n", "--np")
HOST_OPTIONS = ("host", "hosts", "hostfile", "machinefile", "f", "H")
NODE_LISTS = ("SLURM_JOB_NODELIST", "SLURM_NODELIST", "PBS_NODEFILE", "PE_HOSTFILE", "LSB_HOSTS", "LSB_DJOB_HOSTFILE")
"""Variables of batch jobs from which mpirun takes its hosts."""
TRAIN = "train"
_NUMBERS = ("--max-restarts", "--grace", "--time-limit")
_FT, _NO_FT, _SRUN = "--ft", "--no-ft", "--srun"
OPEN_HERE = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Paths of what is open in a process, such as its standard input, and a shell's `<(command)`."""


@dataclass(frozen=True)
class Options:
    """A command line of `dpnet launch`.

    Attributes:
        mpirun: options for mpirun, `-n N` among them.
        command: arguments of dpnet itself.
        launcher: all arguments in front of these, `launch` the first.
        max_restarts: how often a training that was cut off is restarted.
        grace_s: time for a job to end by itself after it was asked to.
        time_limit_s: of one attempt; None: no limit.
        fault_tolerance: start Open MPI so that it survives lost ranks; None: for TRAIN alone, as other programs may
            not expect that a rank is lost.
        by_srun: ranks are started by Slurm's srun, to which `mpirun` goes then.
    """

    mpirun: tuple[str, ...]
    command: tuple[str, ...]
    launcher: tuple[str, ...] = ()
    max_restarts: int = 0
    grace_s: float = 30.0
    time_limit_s: float | None = None
    fault_tolerance: bool | None = None
    by_srun: bool = False


def parse(arguments: Sequence[str], *, in_batch: bool = False) -> Options:
    """Parse the arguments of `dpnet launch`.

    Args:
        arguments: all of them.
        in_batch: a batch job says how many ranks there are, where the user does not.

    Raises:
        ConfigError: a part is missing, or an option of dpnet has an invalid value.
    """
    options, command = split_arguments(arguments, in_batch=in_batch)
    mpirun, own = take_own(options)
    max_restarts = _restarts(own.get("--max-restarts", "0"))
    if max_restarts and command[0] != TRAIN:
        raise ConfigError(f"--max-restarts is for the command {TRAIN} alone, which goes on from its checkpoints")
    if _FT in own and not (command[0] == TRAIN or is_program(command)):
        raise ConfigError(f"{_FT} is for {TRAIN} and for programs of your own; {command[0]} needs all of its ranks")
    return Options(
        mpirun=tuple(mpirun),
        command=tuple(command),
        launcher=("launch", *options, "--"),
        max_restarts=max_restarts,
        grace_s=_seconds("--grace", own["--grace"], least=0.0) if "--grace" in own else Options.grace_s,
        time_limit_s=_seconds("--time-limit", own["--time-limit"]) if "--time-limit" in own else None,
        fault_tolerance=False if _NO_FT in own else _FT in own or None,
        by_srun=_SRUN in own,
    )


def split_arguments(arguments: Sequence[str], *, in_batch: bool = False) -> tuple[list[str], list[str]]:
    """The options in front of `--`, with a number of ranks, and the arguments of dpnet behind it.

    Without -n there is a rank for each core, as with mpirun itself; in a batch job there is no number then.

    Raises:
        ConfigError: a part is missing.
    """
    if "--" not in arguments:
        raise ConfigError(f"no '--' between the options of mpirun and the dpnet command; usage: {USAGE}")
    cut = list(arguments).index("--")
    options, command = list(arguments[:cut]), list(arguments[cut + 1 :])
    if num_ranks(options) is None and not (in_batch and not names_hosts(options)):
        if not on_this_host(options):
            raise ConfigError(f"the number of ranks on all hosts together, -n N, is missing; usage: {USAGE}")
        options = ["-n", str(available_cores()), *options]
    if not command:
        raise ConfigError(f"no dpnet command behind '--'; usage: {USAGE}")
    for word in command:
        if word.startswith(OPEN_HERE):
            raise ConfigError(f"{word} is open in this process alone: ranks get no standard input; give a file")
    return options, command


def num_ranks(options: Sequence[str]) -> int | None:
    """The N of `-n N`; None: there is no such option.

    Raises:
        ConfigError: N is no positive integer.
    """
    value = value_of(options, RANKS)
    if value is not None and (not value.isdecimal() or int(value) < 1):
        name = next(word.partition("=")[0] for word in options if word.partition("=")[0] in RANKS)
        raise ConfigError(f"{name} is {value!r}; it must be a positive number of ranks; usage: {USAGE}")
    return None if value is None else int(value)


def value_of(options: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of an option that has these names, also in the form `name=value`; None: it is not given."""
    for word, following in itertools.pairwise([*options, ""]):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else following
    return None


def names(options: Sequence[str]) -> set[str]:
    """The names of options, without dashes; their values are among them, unless given as `name=value`."""
    return {option.partition("=")[0].lstrip("-") for option in options}


def names_hosts(options: Sequence[str]) -> bool:
    """Whether the ranks may run on other hosts than this one."""
    return not names(options).isdisjoint(HOST_OPTIONS)


def on_several_hosts(options: Sequence[str]) -> bool:
    """Whether the options name more than one host, or a file of them."""
    lists = {f"{dashes}{name}" for dashes in ("-", "--") for name in ("host", "hosts", "H")}
    return names_hosts(options) and "," in (value_of(options, sorted(lists)) or ",")


def on_this_host(options: Sequence[str]) -> bool:
    """Whether all ranks run on this host: neither the options nor a batch job give mpirun any others."""
    return not names_hosts(options) and not any(name in os.environ for name in NODE_LISTS)


def take_own(options: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The options for mpirun, and those of dpnet by name; of an option given twice the last one counts."""
    rest: list[str] = []
    own: dict[str, str] = {}
    words = iter(options)
    for word in words:
        name, equals, value = word.partition("=")
        if name in _NUMBERS:
            own[name] = value if equals else next(words, "")
        elif word in (_FT, _NO_FT, _SRUN):
            own[word] = ""
        else:
            rest.append(word)
    return rest, own


def is_program(command: Sequence[str]) -> bool:
    """Whether a command is a Python program of the user's own, as in `python script.py`, and none of dpnet."""
    return re.fullmatch(r"python[\d.]*", os.path.basename(command[0])) is not None


def process_of(command: Sequence[str]) -> list[str]:
    """What each rank runs for a command of dpnet, or for a program; `python` alone is the one that has dpnet."""
    if is_program(command):
        return [sys.executable if command[0] == "python" else command[0], *command[1:]]
    return [*python_of_dpnet(), *command]


def go_on(command: Sequence[str]) -> list[str]:
    """The same command, but from the newest checkpoint: of several --resume options the last one counts."""
    cut = list(command).index("--") if "--" in command else len(command)
    return [*command[:cut], "--resume", "auto", *command[cut:]]


def command_to_go_on(command: Sequence[str], launcher: Sequence[str] = ()) -> str:
    """What a user types to go on with a training.

    Args:
        command: the arguments that began it, `train` the first.
        launcher: `launch` and all that stood between it and `command`.
    """
    resumes = any(word.partition("=")[0] == "--resume" for word in command)
    return shlex.join(["dpnet", *launcher, *(go_on(command) if resumes else command)])


def _restarts(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError(f"--max-restarts is {text!r}; it must be a number of restarts, from 0")
    return int(text)


def _seconds(name: str, text: str, *, least: float | None = None) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not (0 < seconds < float("inf") or seconds == least):
        limit = "above 0" if least is None else f"from {least:g}"
        raise ConfigError(f"{name} is {text!r}; it must be a number of seconds {limit}")
    return seconds
