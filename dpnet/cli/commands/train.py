"""`dpnet train`: train a network."""

from __future__ import annotations

import argparse
import os

from dpnet.cli.commands.shared import load_job
from dpnet.comm.group import World
from dpnet.environment import ATTEMPT, launched
from dpnet.errors import Preempted
from dpnet.launch.options import command_to_go_on
from dpnet.training.run import train


def run(arguments: argparse.Namespace, group: World) -> int:
    """Train as the job says."""
    job = load_job(arguments, group)
    try:
        train(job, group, resume=arguments.resume)
    except Preempted as stopped:
        raise type(stopped)(f"{stopped}{_how_to_go_on(arguments.argv)}", stopped.exit_code) from None
    return 0


def _how_to_go_on(argv: list[str]) -> str:
    if ATTEMPT in os.environ:
        return ""  # `dpnet launch` says it: it knows its own command line.
    launcher = " the same launcher and" if launched().size_name else ""
    return f". Go on with{launcher}:\n  {command_to_go_on(argv)}"
