"""`dpnet time`: how fast a job trains."""

from __future__ import annotations

import argparse

from dpnet.cli.commands.shared import load_job
from dpnet.comm.group import World
from dpnet.training.announce import aside, say
from dpnet.training.timing import measure_speed

NOTE = "note: meanwhile, "
"""Begins a line on the standard error: who else took the cores."""


def run(arguments: argparse.Namespace, group: World) -> int:
    """Print samples per second, and who else took the cores meanwhile."""
    speed = measure_speed(load_job(arguments, group), group, arguments.seconds)
    say(group, f"{speed.samples_per_s:,.1f} samples/s")
    for text in speed.contended:
        aside(group, f"{NOTE}{text}")
    return 0
