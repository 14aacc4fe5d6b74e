"""What a job is, and where its ranks run: `--wdir` of mpirun changes what the paths of a job mean."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from dpnet.errors import ConfigError
from dpnet.launch.options import on_this_host, value_of

if TYPE_CHECKING:
    from dpnet.config.job import Job

JobOf = Callable[[Sequence[str]], "Job"]
"""Turns the arguments of a training into its job; raises ConfigError or SystemExit where they are wrong."""

DIRECTORY = ("-wdir", "--wdir", "-wd", "--wd")
"""Options of mpirun that name the directory of the ranks, of Open MPI, MPICH and Intel MPI."""


@contextlib.contextmanager
def where_ranks_run(options: Sequence[str], job_of: JobOf) -> Iterator[JobOf]:
    """Be in the directory of the ranks that mpirun starts with these options: the paths of a job start there.

    Yields what reads jobs there: `job_of`. If other hosts have that directory and this one does not, it reads none: in
    the current directory may lie another job of the same name.

    Raises:
        ConfigError: there is no such directory on this host, and no other host is named.
    """
    directory, before = value_of(options, DIRECTORY), os.getcwd()
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            why = error.strerror or str(error)
            if on_this_host(options):
                raise ConfigError(f"the ranks cannot run in {directory} (--wdir): {why}") from error
            job_of = _unreadable(f"the job is read in {directory} (--wdir), which this host must have too: {why}")
    try:
        yield job_of
    finally:
        os.chdir(before)


def _unreadable(why: str) -> JobOf:
    def read(command: Sequence[str]) -> NoReturn:
        raise ConfigError(why)

    return read
