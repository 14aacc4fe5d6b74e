"""Steps that several commands share."""

from __future__ import annotations

import argparse

from dpnet.cli.parser import overrides
from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.config.file import load
from dpnet.config.job import Job


def load_job(arguments: argparse.Namespace, group: Group) -> Job:
    """The job that a command line describes, read by rank 0; collective."""
    return on_root(group, lambda: load(arguments.job, overrides(arguments)))
