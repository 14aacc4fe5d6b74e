"""`dpnet data convert`: data of any kind as files that training maps into memory."""

from __future__ import annotations

import argparse
import json

from dpnet.cli.commands.shared import load_job
from dpnet.comm.group import World
from dpnet.conversion.convert import Conversion, convert
from dpnet.data.remarks import remarks
from dpnet.text import counted
from dpnet.training.announce import say

MB = 1e6


def run(arguments: argparse.Namespace, group: World) -> int:
    """Convert, and say what came of it."""
    arguments.overrides = [*arguments.overrides, f"data.source={json.dumps(arguments.source, ensure_ascii=False)}"]
    job = load_job(arguments, group)
    done = convert(job, arguments.dest, group)
    for line in _lines(done):
        say(group, line)
    return 0


def _lines(done: Conversion) -> list[str]:
    source = done.source
    samples = ", ".join(f"{len(split):,} {name}" for name, split in source.splits.items())
    made = f"{done.path}: {samples} samples of {source.features:,} inputs, {source.train.inputs.dtype}"
    if not done.splits:
        return [f"{made}; they had been converted before, nothing is left to do"]
    notes = remarks(source, {name: part.moments for name, part in done.splits.items()}, {})
    speed = f"{done.num_bytes / MB:,.1f} MB in {done.seconds:.1f} s"
    kept = f"; {counted(done.kept, 'chunk')} had been converted before" if done.kept else ""
    return [*(f"note: {note}" for note in notes), f"{made}; {speed}{kept}"]
