"""`dpnet digest`: the sha256 of the parameters, the proof of equal bits."""

from __future__ import annotations

import argparse
from pathlib import Path

from dpnet.checkpoint.folder import resolve
from dpnet.checkpoint.format import digest, read
from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.training.announce import say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Print the sha256 of the parameters of a checkpoint."""
    say(group, on_root(group, lambda: digest(read(resolve(Path(arguments.checkpoint))).model)))
    return 0
