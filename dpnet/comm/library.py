"""Which MPI library mpi4py loads. Looked up in a process of its own, without the initialisation of MPI.

The ranks' own library is that of `comm.mpi`, whose import initialises it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from dpnet.environment import without_rank
from dpnet.text import first_words, shorten

TIMEOUT_S = 30
LOOK = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(MPI.Get_library_version().split(chr(0))[0].splitlines()[0])
places = [line.split()[-1] for line in open("/proc/self/maps") if "libmpi" in line]
print(places[0] if places else "")
"""


class Loaded(NamedTuple):
    """An MPI library.

    Attributes:
        version: in a line; empty: none can be loaded.
        path: of the library.
        why: it cannot be loaded.
    """

    version: str
    path: str = ""
    why: str = ""


def loaded() -> Loaded:
    """The library that mpi4py loads here. A process of its own looks: a library that is broken may end it."""
    line = [sys.executable, "-c", LOOK]
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, check=False, env=without_rank(os.environ), timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Loaded("", why=str(error))
    if done.returncode:
        return Loaded("", why=shorten((done.stderr.strip().splitlines() or ["it was killed"])[-1], 160))
    found, path, *_ = [*done.stdout.splitlines(), "", ""]
    return Loaded(first_words(found), path)
