"""Opens what a training begins with: its job, its data and its parameters, and checks that they go together.

A training does so on all its ranks. `foretell` does so on one process, for ranks that do not run yet.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.comm.local import LocalGroup
from dpnet.config.job import Job
from dpnet.data.converted.manifest import is_converted
from dpnet.data.sources import DataSource
from dpnet.training.announce import doing
from dpnet.training.build import build_layout, check_patience, check_world_size
from dpnet.training.prepare import open_data
from dpnet.training.pretrained.find import Pretrained, find_pretrained, with_pretrained


class Opened(NamedTuple):
    """A job, with what it begins with; its data; and its parameters, None: initial ones."""

    job: Job
    source: DataSource
    pretrained: Pretrained | None


def converted(job: Job) -> Job:
    """The job with the keys by which its data were converted, if they were."""
    if not is_converted(os.path.expanduser(job.data.source)):
        return job
    from dpnet.data.converted.source import with_keys  # Imported here because it knows all about tables.

    return dataclasses.replace(job, data=with_keys(job.data, job.train.seed))


def open_job(job: Job, group: World, resume: str, in_memory: Any = None, *, world_size: int) -> Opened:
    """Open the data and the parameters that a training begins with; collective.

    Args:
        job: the configuration.
        group: all ranks that read.
        resume: see `run.train`.
        in_memory: data, see `run.train`; None: those that the job names.
        world_size: the ranks that are to train.

    Raises:
        ConfigError: there are more ranks than the job has shards or workers, or no validation data to watch.
        DataError: the data cannot be read, or cannot be trained on.
        CheckpointError: the job names parameters to begin with, and they cannot be read.
    """
    on_root(group, lambda: check_world_size(job.train, world_size))
    if (pretrained := find_pretrained(job, group, resume)) is not None and job.model.pretrained is None:
        job = with_pretrained(job, pretrained.record["path"])
    with doing(group, f"reading the data {job.data.source}"):
        kept = (None, None) if pretrained is None else (pretrained.schema, pretrained.fills)
        source = open_data(job, group, in_memory, *kept)
    check_patience(job.evaluate.patience, source)
    return Opened(job, source, pretrained)


def foretell(job: Job, world_size: int) -> DataSource:
    """Check a job as its training would at its start, before there are ranks; returns its data.

    What is inside of the data is not read: whether inputs are finite is seen by the training.

    Raises:
        DpnetError: see `open_job`; or the network has not the layers that are to be frozen.
    """
    source = open_job(converted(job), LocalGroup(), "auto", world_size=world_size).source
    build_layout(job, source)
    return source
