"""What a job is, and where its ranks run: `--wdir` of mpirun changes what the paths of a job mean."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from dpnet.errors import ConfigError
from dpnet.launch.options import on_this_host, value_of

if TYPE_CHECKING:
    from dpnet.config.job import Job

JobOf = Callable[[Sequence[str]], "Job"]
"""Turns the arguments of a training into its job; raises ConfigError or SystemExit where they are wrong."""

DIRECTORY = ("-wdir", "--wdir", "-wd", "--wd")
"""Options of mpirun that name the directory of the ranks, of Open MPI, MPICH and Intel MPI."""


@contextlib.contextmanager
def where_ranks_run(options: Sequence[str]) -> Iterator[None]:
    """Be in the directory of the ranks that mpirun starts with these options: the paths of a job start there.

    Raises:
        ConfigError: there is no such directory on this host, and no other host is named.
    """
    directory, before = value_of(options, DIRECTORY), os.getcwd()
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            if on_this_host(options):
                text = f"the ranks cannot run in {directory} (--wdir): {error.strerror or error}"
                raise ConfigError(text) from error
    try:
        yield
    finally:
        os.chdir(before)
