"""`dpnet init`: a commented job file, for some data or for the digits."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.config.file import load, to_flat_dict, write_template
from dpnet.data.proposal.proposal import Proposal
from dpnet.data.proposal.propose import propose
from dpnet.data.readers.hdf5_file import is_hdf5
from dpnet.data.tables.files import is_table
from dpnet.errors import ConfigError
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
        if target is not None:
            given["data.target"] = _columns(target)
        if header is not None:
            given["data.header"] = header == "true"
        return propose(source, given)
    if target is not None and is_hdf5(path):
        given["data.target"], target = target[0] if len(target) == 1 else _columns(target), None
    for option, value in (("--target", target and target[0]), ("--header", header)):
        if value is not None:
            raise ConfigError(f"{option} is {value}, but {source} is no table, and has no columns; leave it out")
    return propose(source, given)


def _columns(named: Sequence[str]) -> str | int | list[str | int]:
    """The columns of the labels, as data.target has them: one, or a list of several or of a pattern."""
    if len(named) == 1 and named[0].startswith('["'):
        return list(settings_given([f"data.target={named[0]}"])["data.target"])
    columns = [int(name) if name.removeprefix("-").isdecimal() else name for name in named]
    return columns[0] if len(columns) == 1 and not set(named[0]) & set("*?[") else columns


def settings_given(overrides: Sequence[str]) -> dict[str, Any]:
    """The settings of a command line, by the full names of their keys."""
    settings = to_flat_dict(load(None, overrides))
    names = [override.partition("=")[0].strip() for override in overrides]
    return {name: settings[name] for name in names}
