"""Data in memory that a program gives to a training: what they make of its job, and of its source."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from dpnet.config.data import MEMORY, DataConfig
from dpnet.config.job import Job
from dpnet.data.memory.frames import is_frame
from dpnet.data.memory.given import in_memory
from dpnet.data.sources import DataSource, open_source
from dpnet.data.tables.schema import Schema
from dpnet.errors import ConfigError

TARGET, WEIGHT = "target", "weight"
"""Columns of labels and weights that were given beside a data frame, where the job names none."""


def with_data(job: Job, data: Any) -> Job:
    """The job of a training on data that are given to it.

    Args:
        job: as it was given.
        data: see `run.train`; a path stands in the place of data.source.

    Raises:
        ConfigError: the job names other data.
    """
    if isinstance(data, str | os.PathLike):
        return _changed(job, source=os.fspath(data))
    if job.data.source not in (DataConfig().source, MEMORY):
        raise ConfigError(f"data.source is {job.data.source}, and data were given as well; leave one of the two out")
    job = _changed(job, source=MEMORY)
    if not isinstance(data, tuple) or not data or not is_frame(data[0]):
        return job
    if job.data.target is None:
        job = _changed(job, target=_names(data[1] if len(data) > 1 else None))
    return job if len(data) < 3 or data[2] is None or job.data.weight else _changed(job, weight=WEIGHT)


def _names(labels: Any) -> str | tuple[str, ...]:
    """What columns of labels are called that have no name."""
    shape = np.shape(labels)
    return TARGET if len(shape) < 2 or shape[1] == 1 else tuple(f"{TARGET}{place}" for place in range(shape[1]))


def _changed(job: Job, **values: Any) -> Job:
    return dataclasses.replace(job, data=dataclasses.replace(job.data, **values))


def open_given(job: Job, data: Any, schema: Schema | None = None) -> DataSource:
    """The data of a training, opened: those that were given, or those of the job.

    Args:
        job: the configuration; with data in memory as `with_data` makes it.
        data: see `run.train`; None: they are those that the job names.
        schema: see `sources.open_source`.

    Raises:
        DataError: see `sources.open_source`.
        ConfigError: likewise.
    """
    memory = None
    if data is not None and job.data.source == MEMORY:
        target = job.data.target
        names = [*map(str, target)] if isinstance(target, tuple) else [str(TARGET if target is None else target)]
        memory = in_memory(data, names, job.data.weight or WEIGHT)
    seed, task = job.train.seed, job.model.task
    return open_source(job.data.source, job.data, seed=seed, task=task, memory=memory, schema=schema)
