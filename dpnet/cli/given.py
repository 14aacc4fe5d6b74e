"""What a rank was given on the command line, for a comparison of all ranks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from dpnet.environment import launched
from dpnet.errors import ConfigError
from dpnet.launch.options import OPEN_HERE


def given_to_this_rank(argv: Sequence[str], job: str | None, host: str) -> dict[str, str | None]:
    """The command, the directory that its paths start from, and its job file, as `comm.alike` compares them.

    Args:
        argv: the arguments behind `dpnet`.
        job: path of the job file among them, if there is one. Only rank 0 must be able to read it.
        host: of this rank. Other hosts may have their directories elsewhere.

    Raises:
        ConfigError: the job file is one that ranks cannot read to its end.
    """
    if job is not None and job.startswith(OPEN_HERE) and launched().size_name.startswith("OMPI"):
        text = f"the mpirun of Open MPI does not tell its ranks where the job on {job} ends; give a file"
        raise ConfigError(text, agreed=True)
    given: dict[str, str | None] = {"the command": f"`{shlex.join(['dpnet', *argv])}`"}
    with contextlib.suppress(OSError):  # The directory may have been deleted.
        given[f"the current directory on {host}"] = os.getcwd()
    if job is not None:
        given[f"the content of {job}"] = _content(Path(job))
    return given


def _content(path: Path) -> str | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None  # A pipe can be read once, and rank 0 reads it.
        data = path.read_bytes()
    except OSError:
        return None
    return f"{len(data):,} bytes with the sha256 {hashlib.sha256(data).hexdigest()[:12]}..."
