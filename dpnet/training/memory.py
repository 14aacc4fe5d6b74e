"""Data in memory that a program gives to a training: what they make of its job, and of its source."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from dpnet.config.data import MEMORY, DataConfig
from dpnet.config.job import Job
from dpnet.data.missing.fills import Fills
from dpnet.data.sources import DataSource, open_source
from dpnet.data.tables.schema import Schema
from dpnet.errors import ConfigError

TARGET, WEIGHT = "target", "weight"
"""Columns of labels and weights that were given beside a data frame, where the job names none."""


def with_data(job: Job, data: Any) -> Job:
    """The job of a training on data that are given to it.

    Args:
        job: as it was given.
        data: see `run.train`; a path stands in the place of data.source. None: the job names its data.

    Raises:
        ConfigError: the job names other data, or a column by its place that was given apart from a data frame.
        DataError: labels that were given apart from a data frame make no array.
    """
    if data is None:
        return job
    # Imported here because most trainings read files.
    from dpnet.data.memory.arrays import as_array
    from dpnet.data.memory.frames import column_names, is_frame
    from dpnet.data.memory.given import given_apart

    if isinstance(data, str | os.PathLike):
        return _changed(job, source=os.fspath(data))
    if job.data.source not in (DataConfig().source, MEMORY):
        raise ConfigError(f"data.source is {job.data.source}, and data were given as well; leave one of the two out")
    job = _changed(job, source=MEMORY)
    if (apart := given_apart(data)) is None:
        return job
    labels, weights = apart
    places = [one for one in _names_in(job.data.target) if isinstance(one, int)]
    if places:
        raise ConfigError(
            f"data.target is {places[0]}, the place of a column, and the labels were given apart from the data frame; "
            "leave the key out, or give them a name."
        )
    if job.data.target is None and is_frame(labels):
        names = tuple(column_names(labels))
        job = _changed(job, target=names if len(names) > 1 else names[0])
    elif job.data.target is None and labels is not None:
        shape = as_array(labels, "y in memory", labels=True).shape
        several = tuple(f"{TARGET}{place}" for place in range(shape[1])) if len(shape) == 2 and shape[1] > 1 else TARGET
        job = _changed(job, target=several)
    return job if weights is None or job.data.weight else _changed(job, weight=WEIGHT)


def _names_in(target: str | int | tuple[str | int, ...] | None) -> tuple[str | int, ...]:
    return () if target is None else target if isinstance(target, tuple) else (target,)


def _changed(job: Job, **values: Any) -> Job:
    return dataclasses.replace(job, data=dataclasses.replace(job.data, **values))


def open_given(job: Job, data: Any, schema: Schema | None = None, fills: Fills | None = None) -> DataSource:
    """The data of a training, opened: those that were given, or those of the job.

    Args:
        job: the configuration; with data in memory as `with_data` makes it.
        data: see `run.train`; None: they are those that the job names.
        schema: see `sources.open_source`.
        fills: likewise.

    Raises:
        DataError: see `sources.open_source`.
        ConfigError: likewise.
    """
    memory = None
    if data is not None and job.data.source == MEMORY:
        from dpnet.data.memory.given import in_memory

        names = [*map(str, _names_in(job.data.target))] or [TARGET]
        memory = in_memory(data, names, job.data.weight or WEIGHT)
    seed, task = job.train.seed, job.model.task
    return open_source(job.data.source, job.data, seed=seed, task=task, memory=memory, schema=schema, fills=fills)
