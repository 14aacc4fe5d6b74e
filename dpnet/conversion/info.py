"""`dpnet data info`: what data are, and what dpnet would do with them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.conversion.facts import ColumnInfo, Info, SplitInfo
from dpnet.conversion.meter import Meter
from dpnet.conversion.rows import Seen, count_again, look
from dpnet.data.classes import UNKNOWN
from dpnet.data.finite import FILLS_IN
from dpnet.data.missing.fills import Fills
from dpnet.data.sources import DataSource, open_source, require_labels
from dpnet.data.split import Split
from dpnet.data.tables.column import Column
from dpnet.data.tables.files import is_table, read_table
from dpnet.data.tables.schema import Feature, Schema
from dpnet.data.too_many_classes import check_classes
from dpnet.errors import DataError

TEXTS = 3
"""Texts of a column that are shown."""


def info_of(job: Job, settings: Mapping[str, Any], group: Group) -> Info:
    """Look at the data of a job, on one rank.

    Args:
        job: says what the data are, and how they are read.
        settings: what was guessed or given for that, to be told.
        group: of this rank alone, for the bar.

    Raises:
        DataError: they cannot be read; or they are no table, and cannot be trained on.
        ConfigError: what reads them is not installed.
    """
    section, path = job.data, os.path.expanduser(job.data.source)
    try:
        source = check_classes(open_source(section.source, section, seed=job.train.seed, task=job.model.task))
    except DataError as error:
        if not is_table(path):
            raise
        return info_of_columns(job, str(error))
    seen = _look(source, group)
    columns = tuple(_columns(path, job, source.schema) if is_table(path) else _inputs(job, source, seen["train"]))
    names = _names(source)
    labels = source.train.classes.values.tolist()
    return Info(
        section.source,
        columns,
        is_table(path),
        task=job.model.task,
        inputs=source.features,
        dtype=str(source.train.inputs.dtype),
        classes=tuple(labels),
        outputs=source.outputs,
        splits={name: _split(name, split, source.train, seen) for name, split in source.splits.items()},
        constant=tuple(names[place] for place in seen["train"].constant),
        settings=settings,
        layers=(source.features, *job.model.hidden_layers, source.outputs),
        scale=section.scale,
        notes=tuple(
            dict.fromkeys([*(text for split in source.splits.values() for text in split.remarks), *_refused(seen)])
        ),
    )


def info_of_columns(job: Job, refused: str) -> Info:
    """What a table holds that cannot be trained on.

    Args:
        job: says what the table is, and how it is read.
        refused: why.

    Raises:
        DataError: it cannot even be read.
        ConfigError: pyarrow is not installed.
    """
    path = os.path.expanduser(job.data.source)
    return Info(job.data.source, tuple(_columns(path, job, None)), is_table=True, refused=refused)


def _look(source: DataSource, group: Group) -> dict[str, Seen]:
    """What is seen of the inputs of each split."""
    dtype = np.result_type(*(split.inputs.dtype for split in source.splits.values()))
    total = sum(len(split) * split.features * split.inputs.itemsize for split in source.splits.values())
    with Meter(group, f"looking at {source.name}", total) as meter:
        return {name: look(split, dtype, meter.add) for name, split in source.splits.items()}


def _split(name: str, split: Split, train: Split, seen: Mapping[str, Seen]) -> SplitInfo:
    again = None if name == "train" else count_again(split, seen[name], train, seen["train"])
    labels = require_labels(split)
    if split.kind.are_scaled:
        with np.errstate(all="ignore"):
            rows = (labels.min(axis=0), labels.max(axis=0), labels.mean(axis=0), labels.std(axis=0))
        return SplitInfo(len(split), again, targets=tuple(map(tuple, np.stack(rows).T.tolist())))
    if split.kind.in_rows:
        return SplitInfo(len(split), again, tuple(labels.sum(axis=0).tolist()))
    known = labels[labels != UNKNOWN]
    counts = np.bincount(known, minlength=len(train.classes))
    return SplitInfo(len(split), again, tuple(counts.tolist()), len(labels) - len(known))


def _names(source: DataSource) -> list[str]:
    """What the inputs are called: by their columns, or by their numbers."""
    if source.schema is None:
        return (source.train.fills or Fills(source.features, None)).names()
    return [name for feature in source.schema.features for name in _names_of(feature)]


def _names_of(feature: Feature) -> Iterator[str]:
    if feature.categories is None:
        yield feature.name
    else:
        yield from (f"{feature.name} = {text}" for text in feature.categories)
        if feature.unknown:
            text = "unknown"
            while text in feature.categories:
                text = f"({text})"
            yield f"{feature.name} = {text}"
    if feature.indicator:
        yield f"{feature.name} is missing"


def _refused(seen: Mapping[str, Seen]) -> Iterator[str]:
    """A sentence if there are inputs that no training takes."""
    if any(of_split.nonfinite.any() for of_split in seen.values()):
        yield f"inputs are NaN or infinite, which a training refuses; NaN is a missing value: {FILLS_IN}"


def _inputs(job: Job, source: DataSource, seen: Seen) -> Iterator[ColumnInfo]:
    """The inputs of arrays, without what stands for missing values as far as it is not converted along with them."""
    section, split = job.data, source.train
    is_changed = split.fills is not None and (split.fills.filled[0] or split.fills.indicators)
    if is_changed and split.input_sums is None:
        raw = dataclasses.replace(section, missing="error")
        source = open_source(section.source, raw, seed=job.train.seed, task=job.model.task)
        seen = look(source.train, source.train.inputs.dtype)
    kind = {"b": "boolean", "f": "number"}.get(split.inputs.dtype.kind, "integer")
    for name, low, high, bad in zip(_names(source), seen.low, seen.high, seen.nonfinite, strict=True):
        finite = not np.isnan(low)
        yield ColumnInfo(name, kind, float(low) if finite else None, float(high) if finite else None, missing=int(bad))


def _columns(path: str, job: Job, schema: Schema | None) -> Iterator[ColumnInfo]:
    """The columns of a table, all rows together."""
    table = read_table(path, header=job.data.header)
    for name, column in table.columns.items():
        yield _column(name, column, _role(name, job, schema))


def _role(name: str, job: Job, schema: Schema | None) -> str:
    data = job.data
    if schema is None:
        return "the target" if name == data.target else ""
    roles: dict[str | None, str] = {schema.id: "the name of a row", schema.weight: "the weight", data.split: "the part"}
    for target in schema.targets:
        roles[target] = "the target" if len(schema.targets) == 1 else "a target"
    if name in roles:
        return roles[name]
    width = next((feature.width for feature in schema.features if feature.name == name), 0)
    return "left out" if not width else "an input" if width == 1 else f"{width} inputs"


def _column(name: str, column: Column, becomes: str) -> ColumnInfo:
    missing = 0 if column.missing is None else int(column.missing.sum())
    if column.kind == "other":
        return ColumnInfo(name, column.words, missing=missing, becomes=becomes)
    if column.kind == "text":
        texts = sorted(map(str, column.texts))
        return ColumnInfo(
            name, "text", different=len(texts), examples=tuple(texts[:TEXTS]), missing=missing, becomes=becomes
        )
    known = column.values if column.missing is None else column.values[~column.missing]
    finite = known[np.isfinite(known)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    return ColumnInfo(name, column.kind, low, high, len(np.unique(known)), (), missing, becomes)
