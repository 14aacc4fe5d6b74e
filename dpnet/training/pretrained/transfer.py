"""Begins a training with parameters that were trained before: what of them is kept, and what starts anew.

Parameters mean something only beside what they were trained with. So a checkpoint brings that along:

    inputs        scaled as they were there; columns of a table as they were there, by their names
    hidden units  kept as they are
    outputs       kept with the scaling of targets, if they mean the same: the same labels in the same order. Else the
                  last layer is drawn anew, and everybody is told

A file has the parameters alone: its inputs are taken as they come, and scaled by the new data; its outputs are taken
for the classes or targets, if there are as many. What is not known is told.
"""

from __future__ import annotations

import dataclasses

from dpnet.checkpoint.contents import Contents
from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.data.remarks import other_targets, other_units
from dpnet.data.sources import DataSource
from dpnet.errors import CheckpointError
from dpnet.state.banks import StateVectors
from dpnet.training.build import build_layout
from dpnet.training.prepare import TrainingData, fit_scaling, measure_scaling
from dpnet.training.pretrained.begun import Transfer
from dpnet.training.pretrained.find import Pretrained
from dpnet.training.pretrained.of_checkpoint import of_checkpoint
from dpnet.training.pretrained.of_file import of_file
from dpnet.training.start import StartingPoint


def transfer(pretrained: Pretrained, job: Job, source: DataSource, group: Group) -> Transfer | None:
    """What a training begins with; made on rank 0, None elsewhere. Collective.

    Raises:
        CheckpointError: it cannot be read any more, or is not of this network.
        ConfigError: a layer is to be frozen that starts anew.
    """
    made: list[Transfer] = []
    layout = build_layout(job, source)

    def make() -> None:
        content = pretrained.content
        if content is None:
            raise CheckpointError(pretrained.missing)
        if isinstance(content, Contents):
            made.append(of_checkpoint(pretrained, content, job, source, layout))
        else:
            made.append(of_file(pretrained, content, job, source, layout))

    on_root(group, make)
    return made[0] if made else None


def begin_with(
    pretrained: Pretrained,
    begun: Transfer | None,
    start: StartingPoint,
    job: Job,
    data: TrainingData,
    group: Group,
) -> StartingPoint:
    """Where a training starts that begins with what was pretrained; collective.

    Args:
        pretrained: it.
        begun: what `transfer` made of it; None on rank 0: it is made now, if need be.
        start: where the training would start without it. At step 0; or else it goes on from its own checkpoint.
        job: the configuration.
        data: of the training.
        group: all ranks.

    Raises:
        CheckpointError: see `transfer`.
        ConfigError: see `transfer`.
        DataError: an input is not finite, as it was read or once it is scaled.
    """
    if start.vectors is not None:
        notes = [f"{seen}; the run goes on as it began"] if (seen := _other_by_now(pretrained, start)) else []
        return dataclasses.replace(start, notes=[*start.notes, *notes])
    if not on_root(group, lambda: begun is not None):
        begun = transfer(pretrained, job, data.source, group)
    whole = on_root(group, lambda: begun)
    assert whole is not None
    if data.moments:
        scaling = fit_scaling(job, data.source, data.moments, group, whole.scaling)
    else:
        scaling = measure_scaling(job, data.source, group, whole.scaling)
    told = whole.told
    if whole.scaling is not None:
        inputs = other_units(job.data.scale, whole.scaling, data.moments["train"]) if data.moments else ""
        told = [*told, *(f"note: {remark}" for remark in (inputs, other_targets(whole.scaling, data.source)) if remark)]
    return dataclasses.replace(start, vectors=StateVectors(whole.params, {}, 0), scaling=scaling, told=told)


def _other_by_now(pretrained: Pretrained, start: StartingPoint) -> str:
    """Why the run could not begin today as it did; empty: it could."""
    began = start.pretrained or pretrained.record
    if pretrained.missing or all(began[key] == pretrained.record[key] for key in ("digest", "scaling")):
        return pretrained.missing.rstrip(".")
    digest, was = (record["digest"][:12] for record in (pretrained.record, began))
    return f"{pretrained.record['path']} has changed since (digest {digest}..., it was {was}...)"
