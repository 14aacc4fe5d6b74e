"""The writer: the process that writes the checkpoints which a saver hands it.

It hears no signal: those are for the training. It ends when the training closes the pipe or is gone, after the write
that it is at.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import Checkpoint, Tensors
from dpnet.errors import OutputError

LEAST_URGENT = 19
"""Where ranks keep all cores busy it takes what they leave. When they wait for it, as at the end, it has one."""


def main() -> None:
    """Write what the lines of standard input ask for, from the memory whose descriptor the command line tells."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, descriptor, path, keep_last = sys.argv[1:]
    _step_back()
    memory = mmap.mmap(int(descriptor), 0, access=mmap.ACCESS_READ)
    folder = CheckpointFolder(Path(path), keep_last=int(keep_last))
    for line in sys.stdin:
        error = _write(json.loads(line), memory, folder)
        try:
            print(json.dumps({"error": error}), flush=True)
        except BrokenPipeError:
            break  # The training is gone; what it asked for is written.


def _step_back() -> None:
    """Let ranks go first. Linux may share cores out among sessions first, of which this process has its own."""
    os.nice(LEAST_URGENT)
    with contextlib.suppress(OSError):  # Where it does not, there is no such file.
        Path("/proc/self/autogroup").write_text(str(LEAST_URGENT))


def _write(order: dict[str, Any], memory: mmap.mmap, folder: CheckpointFolder) -> str:
    """Write one checkpoint; returns what went wrong, empty if nothing."""
    tensors = {name: _tensors(entries, memory) for name, entries in order["files"].items()}
    try:
        folder.save(Checkpoint(**tensors, manifest=order["manifest"]), best_step=order["best_step"])
    except OutputError as error:
        return str(error)
    return ""


def _tensors(entries: list[Any], memory: mmap.mmap) -> Tensors:
    found = {}
    for key, place, dtype, shape, turned in entries:
        array = np.frombuffer(memory, dtype, int(np.prod(shape)), place).reshape(shape)
        found[key] = array.T if turned else array
    return found
