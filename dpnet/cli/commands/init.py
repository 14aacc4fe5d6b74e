"""`dpnet init`: a commented job file, for some data or for the digits."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.config.data import DataConfig
from dpnet.config.file import write_template
from dpnet.config.model import Task
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
    if source is None:
        if target is not None or header is not None:
            raise ConfigError("--target and --header are of a table; name it: --data FILE")
        return Proposal({}, [])
    path = os.path.expanduser(source)
    if is_table(path):
        is_place = target is not None and target.removeprefix("-").isdecimal()
        named = None if header is None else header == "true"
        return propose_table(source, path, int(target or 0) if is_place else target, named)
    for option, value in (("--target", target), ("--header", header)):
        if value is not None:
            raise ConfigError(f"{option} is {value}, but {source} is no table, and has no columns; leave it out")
    section = DataConfig(**(named := guess_names(path) if is_hdf5(path) else {}))
    task, targets = _task_of(source, section)
    found = check_classes(open_source(source, section, task=task))
    test = f"{len(found.test):,} test samples" if found.test else "no test samples"
    classes, settings = found.train.classes, {"data.source": source}
    settings |= {f"data.{key}": value for key, value in named.items()}
    if found.test is None and _can_hold_out(found.train):
        settings["data.test"] = TEST_SHARE
    seen = f"{source} has {len(found.train):,} training samples of {found.features:,} numbers, {test}; "
    lines = [f'{seen}{targets}: model.task = "regression"; for classes, leave that out.']
    if task == "regression":
        settings["model.task"] = task
    else:
        lines = [f"{seen}{len(classes):,} classes, {classes.text()}."]
    if named:
        guessed = f"Inputs are {named['features'][0]} and labels {named['target']}, as their names suggest"
        lines.append(f"{guessed}; if not: data.features, data.target.")
    return Proposal(settings, lines)


def _task_of(source: str, section: DataConfig) -> tuple[Task, str]:
    """What the labels of arrays look like; and the targets in words, if they look like such."""
    try:
        targets = require_labels(open_source(source, section, task="regression").train)
    except DataError:
        return "classification", ""  # If that cannot be either, its error says why.
    return ("regression", targets_text(targets)) if looks_like_targets(targets) else ("classification", "")


def _can_hold_out(train: Split) -> bool:
    """Whether a share of the samples can be test data."""
    try:
        hold_out(require_labels(train), TEST_SHARE, key="data.test", file=train.labels_file)
    except DataError:
        return False
    return True
