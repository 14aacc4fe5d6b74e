"""Which MPI there is, for tests and for benchmarks, which need no pytest."""

from __future__ import annotations

import functools
import subprocess
import sys


@functools.cache
def vendor() -> str:
    """The MPI that mpi4py loads here; empty if there is none."""
    code = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.get_vendor()[0])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return result.stdout.strip()
