"""`dpnet init`: a commented job file, for some data or for the digits."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.config.data import DataConfig
from dpnet.config.file import load, to_flat_dict, write_template
from dpnet.config.keys import of_section
from dpnet.config.model import Task
from dpnet.data.converted.reader import Converted
from dpnet.data.hold_out import hold_out
from dpnet.data.readers.hdf5 import guess_names
from dpnet.data.readers.hdf5_file import is_hdf5
from dpnet.data.sources import Split, check_classes, open_source, require_labels
from dpnet.data.tables.files import is_table
from dpnet.data.tables.proposal import TEST_SHARE, Proposal, propose_table
from dpnet.data.targets import looks_like_targets, targets_text
from dpnet.errors import ConfigError, DataError
from dpnet.text import for_output
from dpnet.training.announce import say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Write a commented job file."""

    def write() -> list[str]:
        proposal = _propose(arguments)
        write_template(Path(arguments.path), proposal.settings, proposal.lines)
        return proposal.lines

    for line in on_root(group, write):
        say(group, for_output(line))
    say(group, f"wrote {arguments.path}; train with: dpnet train {arguments.path}")
    return 0


def _propose(arguments: argparse.Namespace) -> Proposal:
    source, target, header = arguments.data, arguments.target, arguments.header
    given = settings_given(arguments.overrides)
    if source is None:
        if target is not None or header is not None:
            raise ConfigError("--target and --header are of a table; name it: --data FILE")
        return Proposal(given, [])
    path = os.path.expanduser(source)
    if is_table(path):
        is_place = target is not None and target.removeprefix("-").isdecimal()
        if target is not None:
            given["data.target"] = int(target) if is_place else target
        if header is not None:
            given["data.header"] = header == "true"
        return propose(source, given)
    if target is not None and is_hdf5(path):
        given["data.target"], target = target, None
    for option, value in (("--target", target), ("--header", header)):
        if value is not None:
            raise ConfigError(f"{option} is {value}, but {source} is no table, and has no columns; leave it out")
    return propose(source, given)


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
    test = f"{len(found.test):,} test samples" if found.test else "no test samples"
    classes = found.train.classes
    settings: dict[str, Any] = {"data.source": source}
    settings |= {f"data.{key}": value for key, value in named.items()}
    is_free = "data.test" not in given and not Converted().fits(path)
    if found.test is None and is_free and _can_hold_out(found.train):
        settings["data.test"] = TEST_SHARE
        test = f"no test samples ({TEST_SHARE:.0%} of the training samples are held out instead)"
    seen = f"{source} has {len(found.train):,} training samples of {found.features:,} numbers, {test}; "
    if task != "classification":
        settings["model.task"] = task
    if task == "regression":
        targets = targets_text(require_labels(found.train))
        lines = [f'{seen}{targets}: model.task = "regression"; for classes, leave that out.']
    else:
        lines = [f"{seen}{len(classes):,} classes, {classes.text()}."]
    if named:
        guessed = f"Inputs are {named['features'][0]} and labels {named['target']}, as their names suggest"
        lines.append(f"{guessed}; if not: data.features, data.target.")
    return Proposal({**settings, **given}, lines)


def settings_given(overrides: Sequence[str]) -> dict[str, Any]:
    """The settings of a command line, by the full names of their keys."""
    settings = to_flat_dict(load(None, overrides))
    names = [override.partition("=")[0].strip() for override in overrides]
    return {name: settings[name] for name in names}


def _task_of(source: str, section: DataConfig) -> Task:
    """What the labels of arrays look like."""
    if Converted().fits(path := os.path.expanduser(source)):
        return Converted().task(path)
    try:
        targets = require_labels(open_source(source, section, task="regression").train)
    except DataError:
        return "classification"  # If that cannot be either, its error says why.
    return "regression" if looks_like_targets(targets) else "classification"


def _can_hold_out(train: Split) -> bool:
    """Whether a share of the samples can be test data."""
    try:
        hold_out(require_labels(train), TEST_SHARE, key="data.test", file=train.labels_file)
    except DataError:
        return False
    return True
