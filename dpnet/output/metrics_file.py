"""The learning curve: a sink that appends rows to metrics.jsonl, one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from dpnet.files import write_atomically, writing
from dpnet.output.events import Event

TAIL_BYTES = 65536
"""Enough of a file to hold its last whole row."""


class MetricsFile:
    """A sink that appends the row of every event that has one.

    Args:
        path: of the file.
        step: rows of later steps are dropped first: this training takes these steps again.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        with writing(path):
            if path.exists() and (kept := "".join(_rows_up_to(path, step))) != path.read_text("utf-8", "replace"):
                write_atomically(path, kept)
            self._file = path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        """See Sink.write. Other processes can read the row at once; the next checkpoint puts it on the disk."""
        row = event.row()
        if row is not None:
            with writing(self._path):
                self._file.write(json.dumps(row) + "\n")
                self._file.flush()

    def close(self) -> None:
        """See Sink.close."""
        with writing(self._path):
            self._file.close()


def _rows_up_to(path: Path, step: int) -> list[str]:
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            # A line without its line break is the last of a job that was killed while it wrote.
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, LookupError, TypeError, RecursionError):
            continue  # Not a row that dpnet wrote.
    return kept


def last_step(path: Path) -> int:
    """Step of the last whole row of a learning curve; 0 if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
            return int(json.loads(line)["step"])
    return 0
