"""A proposal for any data, and for those that are no table: whether labels are classes, and what is held out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from dpnet.compute.arrays import Targets
from dpnet.config.data import DataConfig
from dpnet.config.keys import of_section
from dpnet.config.model import Task
from dpnet.data.converted.reader import Converted
from dpnet.data.hold_out import cut
from dpnet.data.label_sets import label_sets_text
from dpnet.data.missing.means import is_whole
from dpnet.data.proposal.proposal import SHARES, Proposal, held_out_text
from dpnet.data.proposal.table import propose_table
from dpnet.data.readers.hdf5 import guess_names
from dpnet.data.readers.hdf5_file import is_hdf5
from dpnet.data.sources import Split, open_source, require_labels
from dpnet.data.tables.files import is_table
from dpnet.data.targets import looks_like_targets, targets_text
from dpnet.data.too_many_classes import check_classes
from dpnet.errors import DataError


def propose(source: str, given: Mapping[str, Any]) -> Proposal:
    """What a job file should say of some data.

    Args:
        source: as it was given.
        given: settings that are kept, by the full names of their keys.

    Raises:
        DataError: the data cannot be read or trained on.
        ConfigError: what reads them is not installed.
    """
    path = os.path.expanduser(source)
    if is_table(path):
        return propose_table(source, path, given)
    named = guess_names(path) if is_hdf5(path) and not given.keys() & {"data.features", "data.target"} else {}
    section = DataConfig(**{**named, **of_section(given, "data")})
    task = given.get("model.task") or _task_of(source, section)
    found = check_classes(open_source(source, section, task=task))
    settings: dict[str, Any] = {"data.source": source}
    settings |= {f"data.{key}": value for key, value in named.items()}
    has_gaps = not Converted().fits(path) and not all(map(is_whole, found.splits.values()))
    if has_gaps and "data.missing" not in given:
        settings["data.missing"] = "mean"
    for key, share in {} if Converted().fits(path) else SHARES.items():
        more = of_section({**settings, key: share}, "data")
        is_free = key.partition(".")[2] not in found.splits and key not in given
        if is_free and _can_hold_out(found.train, DataConfig(**{**of_section(given, "data"), **more})):
            settings[key] = share
    test = f"{len(found.test):,} test samples" if found.test else "no test samples"
    seen = f"{source} has {len(found.train):,} training samples of {found.features:,} numbers, {test}; "
    if task != "classification":
        settings["model.task"] = task
    lines = [seen + TEXTS[task](found.train), *held_out_text(settings)]
    if "data.missing" in settings:
        lines.append('Values are missing (NaN): data.missing = "mean" puts the mean of the others in their place.')
    if named:
        guessed = f"Inputs are {named['features'][0]} and labels {named['target']}, as their names suggest"
        lines.append(f"{guessed}; if not: data.features, data.target.")
    return Proposal({**settings, **given}, lines)


def _task_of(source: str, section: DataConfig) -> Task:
    """What the labels of arrays look like."""
    if Converted().fits(path := os.path.expanduser(source)):
        return Converted().task(path)
    targets = _read_as("regression", source, section)
    # Of a number for each sample nothing needs to be spread out, be they as many as samples.
    sets = None if targets is not None and targets.shape[1] == 1 else _read_as("multilabel", source, section)
    if sets is not None and sets.shape[1] > 1 and (sets.sum(axis=1) != 1).any():
        return "multilabel"  # With a single 1 in each row they are classes (one-hot).
    return "regression" if targets is not None and looks_like_targets(targets) else "classification"


def _read_as(task: Task, source: str, section: DataConfig) -> Targets | None:
    """The labels of the training samples, taken for those of a task; None: they cannot be."""
    try:
        return require_labels(open_source(source, section, task=task).train)
    except DataError:
        return None  # If they are of no task, the error of "classification" says why.


def _numbers_text(train: Split) -> str:
    return f'{targets_text(require_labels(train))}: model.task = "regression"; for classes, leave that out.'


def _labels_text(train: Split) -> str:
    said = label_sets_text(require_labels(train), train.classes, "of them")
    return f'{said}: model.task = "multilabel".'


TEXTS: dict[Task, Callable[[Split], str]] = {
    "classification": lambda train: f"{len(train.classes):,} classes, {train.classes.text()}.",
    "regression": _numbers_text,
    "multilabel": _labels_text,
}
"""How the labels of arrays are told, by task."""


def _can_hold_out(train: Split, section: DataConfig) -> bool:
    """Whether there are samples enough to hold out the shares of a section."""
    try:
        cut(require_labels(train), section, file=train.labels_file, seed=0)
    except DataError:
        return False
    return True
