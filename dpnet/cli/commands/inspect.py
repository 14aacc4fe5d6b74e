"""`dpnet inspect`: what a checkpoint holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from dpnet.checkpoint.folder import pick
from dpnet.checkpoint.format import read
from dpnet.cli.tables import checkpoint_table
from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.training.announce import aside, say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Print layers, parameters, step and scores."""

    def table() -> str:
        picked = pick(Path(arguments.checkpoint), last=arguments.last)
        if picked.text:
            aside(group, picked.text)
        return checkpoint_table(picked.path, read(picked.path))

    say(group, on_root(group, table))
    return 0
