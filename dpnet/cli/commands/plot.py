"""`dpnet plot`: learning curves as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.output.plot import plot_runs
from dpnet.training.announce import say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Draw the learning curves of run directories."""
    on_root(group, lambda: plot_runs([Path(run) for run in arguments.runs], Path(arguments.out)))
    say(group, f"wrote {arguments.out}")
    return 0
