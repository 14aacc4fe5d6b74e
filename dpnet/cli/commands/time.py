"""`dpnet time`: how fast a job trains."""

from __future__ import annotations

import argparse

from dpnet.cli.commands.shared import load_job
from dpnet.comm.group import World
from dpnet.training.announce import say
from dpnet.training.timing import samples_per_s


def run(arguments: argparse.Namespace, group: World) -> int:
    """Print samples per second."""
    speed = samples_per_s(load_job(arguments, group), group, arguments.seconds)
    say(group, f"{speed:,.1f} samples/s")
    return 0
