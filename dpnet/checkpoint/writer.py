"""The writer: a process of its own that writes the checkpoints which `background.Saver` copies into memory.

It ignores the signals that end a training. It ends when the training closes the pipe or is gone, once its current write
is done.
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

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.slots import read_slot
from dpnet.errors import OutputError

LEAST_URGENT = 19
"""Niceness of the writer. While ranks keep all cores busy, the writer takes what they leave. When they wait for it, as
at the end, it has a core of its own."""


def main() -> None:
    """Write what the lines of standard input ask for, from the memory whose descriptor is on the command line."""
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
            break  # The training is gone; what it asked for has been written.


def _step_back() -> None:
    """Let ranks go first. Linux may share cores out among sessions first, and this process has a session of its own."""
    os.nice(LEAST_URGENT)
    with contextlib.suppress(OSError):  # The file exists only where Linux groups by session.
        Path("/proc/self/autogroup").write_text(str(LEAST_URGENT))


def _write(order: dict[str, Any], memory: mmap.mmap, folder: CheckpointFolder) -> str:
    """Write one checkpoint; returns what went wrong, empty if nothing."""
    content = Checkpoint(**read_slot(order["files"], memory), manifest=order["manifest"])
    try:
        folder.save(content, best_step=order["best_step"])
    except OutputError as error:
        return str(error)
    return ""
