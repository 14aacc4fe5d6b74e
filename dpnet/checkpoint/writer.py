"""The writer: a process of its own that writes the checkpoints which `background.Saver` copies into memory.

It ignores the signals that end a training. It ends when the training closes the pipe or is gone, once its current write
is done; from then on that is urgent.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.pace import Pace
from dpnet.checkpoint.slots import read_slot
from dpnet.errors import OutputError

TELL_EVERY_S = 1.0


def main() -> None:
    """Write what the lines of standard input ask for, from the memory whose descriptor is on the command line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, descriptor, path, keep_last, cores = sys.argv[1:]
    with contextlib.suppress(OSError):  # A launcher may have bound the rank to one core.
        os.sched_setaffinity(0, json.loads(cores))
    memory = mmap.mmap(int(descriptor), 0, access=mmap.ACCESS_READ)
    folder = CheckpointFolder(Path(path), keep_last=int(keep_last))
    pace, orders = Pace(), queue.SimpleQueue[Any]()
    threading.Thread(target=_read, args=(pace, orders), daemon=True).start()
    for order in iter(orders.get, None):
        error = _write(order, memory, folder, pace)
        try:
            print(json.dumps({"error": error}), flush=True)
        except BrokenPipeError:
            break  # The training is gone; what it asked for has been written.


def _read(pace: Pace, orders: queue.SimpleQueue[Any]) -> None:
    """Hand on the orders of the training, and how urgent they are."""
    with open(0, "rb", closefd=False) as stdin:
        for line in stdin:
            order = json.loads(line)
            if order.pop("urgent"):
                pace.urgent.set()
            else:
                pace.urgent.clear()
            if order:
                orders.put(order)
    pace.urgent.set()
    orders.put(None)


def _write(order: dict[str, Any], memory: mmap.mmap, folder: CheckpointFolder, pace: Pace) -> str:
    """Write one checkpoint; returns what went wrong, empty if nothing."""
    content = Checkpoint(**read_slot(order["files"], memory), manifest=order["manifest"])
    pace.begin()
    told_s = time.monotonic()

    def run(work: Callable[[], None], num_bytes: int) -> None:
        nonlocal told_s
        pace.run(work, num_bytes)
        if pace.urgent.is_set() and time.monotonic() - told_s > TELL_EVERY_S:  # Nobody may be reading otherwise.
            told_s = time.monotonic()
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps({"written": pace.done_bytes}), flush=True)

    try:
        folder.save(content, best_step=order["best_step"], after=map(Path, order["after"]), run=run)
    except OutputError as error:
        return str(error)
    return ""
