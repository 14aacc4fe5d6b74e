"""`dpnet train`: train a network."""

from __future__ import annotations

import argparse

from dpnet.cli.commands.shared import load_job
from dpnet.comm.group import World
from dpnet.training.run import train


def run(arguments: argparse.Namespace, group: World) -> int:
    """Train as the job says."""
    train(load_job(arguments, group), group, resume=arguments.resume)
    return 0
