"""`dpnet init`: a commented job file."""

from __future__ import annotations

import argparse
from pathlib import Path

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.config.file import write_template
from dpnet.training.announce import say


def run(arguments: argparse.Namespace, group: World) -> int:
    """Write a commented job file."""
    on_root(group, lambda: write_template(Path(arguments.path)))
    say(group, f"wrote {arguments.path}; train with: dpnet train {arguments.path}")
    return 0
