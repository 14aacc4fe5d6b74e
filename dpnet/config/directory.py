"""The run directories that a job may have, if its user names none: `runs/mnist`, `runs/mnist-2`, `runs/mnist-3`, ..."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from pathlib import Path

from dpnet.config.job import Job


def with_directory(job: Job, path: Path | str) -> Job:
    """The job with this run directory."""
    return dataclasses.replace(job, output=dataclasses.replace(job.output, dir=str(path)))


def first_choice(job: Job) -> Path:
    """The run directory of a job: the named one, else runs/ and the name of the data."""
    if job.output.dir is not None:
        return Path(job.output.dir)
    # "mnist/", "./mnist" and "mnist.npz" are all called mnist; "." and ".." have no name, and <memory> is memory.
    name = Path(job.data.source).stem.strip(".~<>")
    return Path("runs") / (name or "data")


def existing(first: Path) -> list[Path]:
    """The directories that may hold runs of a job without a named one, in the order of their numbers.

    Args:
        first: the first choice, which is part of the list whether it exists or not.
    """
    pattern = re.compile(re.escape(first.name) + "-([1-9][0-9]{0,8})")
    found = []
    with contextlib.suppress(OSError):  # There is no such folder yet, or it cannot be read: `first` will tell.
        found = [match for match in map(pattern.fullmatch, os.listdir(first.parent)) if match and int(match[1]) > 1]
    return [first, *(first.with_name(match[0]) for match in sorted(found, key=lambda match: int(match[1])))]


def next_free(paths: list[Path]) -> Path:
    """The first name behind those of `existing` that none of them has."""
    number = 2
    while numbered(paths[0], number) in paths:
        number += 1
    return numbered(paths[0], number)


def numbered(first: Path, number: int) -> Path:
    """The run directory with a number, from 2."""
    return first.with_name(f"{first.name}-{number}")
