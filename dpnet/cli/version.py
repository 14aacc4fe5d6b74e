"""`dpnet --version`: what to name in a bug report. Reads what is installed, and imports and starts nothing of it."""

from __future__ import annotations

import argparse
import platform
import re
from typing import Any

from dpnet.about import __version__
from dpnet.compute.products.wheels import metadata
from dpnet.errors import CommunicationError
from dpnet.output.screen import current

_OPTIONAL = ("numba", "mkl", "onednn-cpu-gomp")
_MPI = (("Open MPI", "Open MPI"), ("OpenRTE", "Open MPI"), ("HYDRA", "MPICH"), ("Intel", "Intel MPI"))
_BLAS = (("scipy_openblas", "OpenBLAS"), ("openblas", "OpenBLAS"), ("mkl", "MKL"), ("blis", "BLIS"))


class Version(argparse.Action):
    """The option: print the version and exit."""

    def __init__(self, **named: Any) -> None:
        super().__init__(nargs=0, **named)

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any, **named: Any) -> None:
        """See argparse."""
        current().say(version_text())
        parser.exit()


def version_text() -> str:
    """Dpnet and all that a bug may depend on, in a line."""
    installed = [f"{name} {found}" for name in _OPTIONAL if (found := _installed(name))]
    parts = [
        f"dpnet {__version__}",
        f"Python {platform.python_version()}",
        f"numpy {_installed('numpy') or 'missing'} with {_blas()}",
        f"mpi4py {_installed('mpi4py') or 'missing'}",
        _mpi(),
        *installed,
        f"{platform.system()} {platform.release()} {platform.machine()}",
    ]
    return ", ".join(parts)


def _installed(name: str) -> str:
    try:
        return str(metadata().version(name))
    except metadata().PackageNotFoundError:
        return ""


def _blas() -> str:
    """The BLAS that lies in numpy's wheel."""
    try:
        files = " ".join(map(str, metadata().files("numpy") or ()))
    except metadata().PackageNotFoundError:
        return "no BLAS"
    libraries = " ".join(re.findall(r"numpy\.libs/\S+", files)).lower()
    return next((name for part, name in _BLAS if part in libraries), "a BLAS of the system")


def _mpi() -> str:
    """The MPI of the mpirun that `dpnet launch` takes."""
    try:
        from dpnet.launch.flags import find_mpirun, version

        path = find_mpirun()
        text = version(path)
    except CommunicationError:
        return "no mpirun"
    number = re.search(r"\d+\.\d+(\.\d+)*", text)
    name = next((name for part, name in _MPI if part in text), "unknown MPI")
    return f"{name} {number[0] if number else ''} ({path})"
