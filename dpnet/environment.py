"""What the launcher says about this process: its rank, what becomes of it. Read before MPI is up, and without it.

Launchers set variables of three families. Open MPI's mpirun sets OMPI_COMM_WORLD_*; MPICH's and Intel's mpiexec, and
`srun --mpi=pmi2`, set PMI_*; srun sets SLURM_* in every job step. The families are tried in this order, because an
mpirun inside a Slurm job inherits Slurm's variables.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DRAWN = "DPNET_DRAWN"
"""Variable: `dpnet launch` reads the output of the ranks, and draws what is marked in it on its terminal."""

COLUMNS = "DPNET_COLUMNS"
"""Variable: the width of the terminal that the standard error of `dpnet launch` leads to; empty: it leads elsewhere."""


@dataclass(frozen=True)
class Launched:
    """This process as its launcher sees it.

    Attributes:
        rank: number of this process among all that the launcher started, from 0.
        world_size: number of processes that the launcher started.
        local_world_size: how many of them run on this host; 1 where the launcher does not set it.
        size_name: the variable that holds world_size; "": there is no launcher.
    """

    rank: int
    world_size: int
    local_world_size: int
    size_name: str


NAMES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE"),
)
"""(rank, world_size, local_world_size) of each family."""

ATTEMPT = "DPNET_ATTEMPT"
"""Variable: the name of the attempt of `dpnet launch` that a process belongs to."""

OFFERED = "DPNET_FT_OFFERED"
"""Variable: `dpnet launch` has started a program of the user's own, without fault tolerance: `--ft` turns it on."""

THREADS = "DPNET_THREADS"
"""Variable: the threads of a rank, a share of the cores, that `dpnet launch` has set for all BLAS libraries."""

CROWDED = "DPNET_CROWDED"
"""Variable: `dpnet launch` has told that there are more ranks than cores."""

HOSTS = "DPNET_HOSTS"
"""Variable: the hosts that ranks are to run on, with commas between; ANY: none in particular. Else the batch job's."""
ANY = "any"

RANKS_PER_NODE = "DPNET_RANKS_PER_NODE"
"""Variable: so many consecutive ranks are taken for a node, to try out on one machine what happens on several."""


def launched(environ: Mapping[str, str] = os.environ) -> Launched:
    """This process as its launcher sees it; the only rank where there is no launcher."""
    for rank_name, size_name, local_name in NAMES:
        rank, size = environ.get(rank_name, ""), environ.get(size_name, "")
        if rank.isdecimal() and size.isdecimal():
            local = _of_this_node(environ.get(local_name, ""), environ.get("SLURM_NODEID", ""))
            return Launched(int(rank), int(size), local, size_name)
    return Launched(0, 1, 1, "")


def rank_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that make this process one of several ranks; without them it is a process of its own."""
    found = [size for rank, size, _ in NAMES if environ.get(rank, "").isdecimal() and environ.get(size, "").isdecimal()]
    return [name for name in found if int(environ[name]) > 1]


def own_training() -> str:
    """How a user starts a training of its own on a rank of a job."""
    options = " ".join(f"-u {name}" for name in rank_variables())
    return f"For a training of its own in each rank, start it with: env {options} dpnet ..."


LAUNCHER_NAMES = ("OMPI_COMM_", "OMPI_UNIVERSE", "PMI", "PRTE_", "MPI_LOCAL", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS")
"""Prefixes of the variables by which a launcher marks its ranks."""


def without_rank(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is no rank itself, although a rank starts it."""
    kept = ("PRTE_MCA_", "PMIX_MCA_")
    return {name: environ[name] for name in environ if name.startswith(kept) or not name.startswith(LAUNCHER_NAMES)}


def rank_above(environ: Mapping[str, str] = os.environ) -> int | None:
    """The process that is the rank which this process only seems to be, as it inherited the rank's variables.

    Found by the MPI library that it has loaded: a script that merely starts this process for the launcher has none.
    None: there is no such process, as far as /proc shows.
    """
    mine = [f"{name}={environ[name]}".encode() for names in NAMES for name in names[:2] if name in environ]
    above = os.getppid()
    try:
        while mine and set(mine) <= set(Path(f"/proc/{above}/environ").read_bytes().split(b"\0")):
            if "libmpi" in Path(f"/proc/{above}/maps").read_text(errors="replace"):
                return above
            # The parent is the second word behind the name in parentheses.
            above = int(Path(f"/proc/{above}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        pass  # No /proc, or the process belongs to another user.
    return None


def python_of_dpnet() -> list[str]:
    """The start of a command line for another process of this dpnet: `[*python_of_dpnet(), "time", ...]`.

    Python's own `-m` would put the current directory in front of all other places, and a user's dpnet.py, random.py
    or numpy.py that lies there would be imported instead. PYTHONPATH counts as ever.
    """
    if _runs_from_here():
        return [sys.executable, "-m", "dpnet"]
    if sys.version_info >= (3, 11):
        return [sys.executable, "-P", "-m", "dpnet"]
    return [sys.executable, "-c", f"{SAFE_PATH}; from dpnet.__main__ import main; main()"]


SAFE_PATH = "import sys; sys.path[:1] = filter(None, sys.path[:1])"
"""The beginning of a program for `python -c`: from here on nothing is imported from the current directory."""


def _runs_from_here() -> bool:
    """Whether dpnet is not installed but lies in the current directory, which `python -m dpnet` has put on the path."""
    above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return sys.path[:1] == [above] and above not in sys.path[1:]


def ranks_per_node(environ: Mapping[str, str] = os.environ) -> int | None:
    """Ranks that a user wants to be taken for a node; None: a node is what MPI takes for one."""
    value = environ.get(RANKS_PER_NODE, "")
    return int(value) if value.isdecimal() and int(value) > 0 else None


FAULT_TOLERANCE = {
    # Otherwise some ranks never learn of a loss, and the others wait for them.
    "mpi_ft_propagator_with_rbcast": "true",
    # Hierarchical collectives may return wrong sums, and report success, when a rank is lost.
    "coll": "^han",
}
"""Parameters of Open MPI 5 with which a job survives lost ranks, besides its flag `--with-ft ulfm`.

The launcher notices that a process has ended; only a host that falls silent takes the failure detector as well, see
`launch.flags.SEVERAL_HOSTS`."""
_BY_FLAG = {"mpi_ft_enable": "true"}
"""What `--with-ft ulfm` sets."""


def loss_obstacle(environ: Mapping[str, str] = os.environ) -> str:
    """Why the loss of a rank ends this job; empty: the job survives a loss."""
    family = launched(environ).size_name.partition("_")[0]
    if family != "OMPI":
        return {"PMI": "MPICH does not survive it", "SLURM": "srun ends the job step; start with dpnet launch"}.get(
            family, "there is one rank"
        )
    wanted = {**_BY_FLAG, **FAULT_TOLERANCE}
    missing = [name for name, value in wanted.items() if not _is_set(environ.get(f"OMPI_MCA_{name}", ""), value)]
    if not missing:
        return ""
    what, advice = (missing[0], "sets it") if len(missing) < len(wanted) else ("fault tolerance", "turns it on")
    # If launch has started this rank for a command of its own, it has said why.
    is_told = ATTEMPT in environ and OFFERED not in environ
    option = " --ft" if OFFERED in environ else ""
    return f"mpirun was started without {what}" + ("" if is_told else f"; dpnet launch{option} {advice}")


def other_mpi(vendor: str, environ: Mapping[str, str] = os.environ) -> str:
    """Why the launcher of this rank and its MPI library do not belong together, and what to do; empty: they may.

    Args:
        vendor: of the library.
        environ: of this rank.
    """
    family = launched(environ).size_name.partition("_")[0]
    is_open = any(name in vendor for name in ("Open MPI", "Spectrum MPI"))
    launcher = {("OMPI", False): "Open MPI", ("PMI", True): "MPICH or Intel MPI"}.get((family, is_open))
    if launcher is None or (family == "PMI" and "SLURM_PROCID" in environ):  # srun has a plugin for either.
        return ""
    seen = f"mpirun is that of {launcher}, but mpi4py loads {vendor}: they do not belong together"
    return f"{seen}. {right_start(vendor)}"


def right_start(vendor: str, environ: Mapping[str, str] = os.environ) -> str:
    """How to start ranks with the mpirun of an MPI library."""
    if ATTEMPT in environ:
        return (
            "dpnet launch takes the mpirun beside this Python or, where there is none, the first on PATH: put that of "
            f"{vendor} there"
        )
    return (
        "Start with `dpnet launch`, with the mpirun of that library, or with srun and the plugin for it "
        "(--mpi=pmix for Open MPI, --mpi=pmi2 for MPICH)"
    )


def _is_set(text: str, value: str) -> bool:
    if value.startswith("^"):
        return text.startswith("^") and value[1:] in text[1:].split(",")
    return text.lower() in ({"true", "1"} if value == "true" else {value})


def _of_this_node(text: str, node: str) -> int:
    """A plain number, or the entry of node `node` in Slurm's list of all nodes."""
    if text.isdecimal():
        return int(text)
    tasks = tasks_of_nodes(text) or []
    return tasks[int(node)] if node.isdecimal() and int(node) < len(tasks) else 1


def tasks_of_nodes(text: str) -> list[int] | None:
    """The numbers in Slurm's list of tasks: "4,2(x3)" stands for 4, 2, 2, 2. None: that is no such list."""
    parts = [re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part) for part in text.split(",")]
    return None if None in parts else [int(part[1]) for part in parts if part for _ in range(int(part[2] or 1))]


def opened_terminal_of_mpirun(stream: int) -> int | None:
    """The terminal that a standard stream of mpirun leads to, opened to write; None: there is none on this host.

    Args:
        stream: 1 or 2.

    Raises:
        OSError: it cannot be opened.
    """
    if not launched().size_name:
        return None
    parent = os.getppid()
    with open(f"/proc/{parent}/stat") as file:
        name, _, rest = file.read().partition("(")[2].rpartition(")")
    # Between MPICH's mpirun and its ranks is another process, whose output is a pipe.
    place = f"/proc/{int(rest.split()[1]) if name.startswith('hydra') else parent}/fd/{stream}"
    if not os.readlink(place).startswith(("/dev/pts/", "/dev/tty")):
        return None
    return os.open(place, os.O_WRONLY | os.O_NOCTTY)
