"""The learning curve, as JSON lines in the run directory and as text on the console of rank 0."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from dpnet.environment import launched
from dpnet.files import write_atomically, writing

Row = Mapping[str, Any]
TAIL_BYTES = 65536
PLAIN_INTERVAL_S = 5.0
"""Least time between two lines about training steps where the console is no terminal."""


class MetricsFile:
    """Appends rows to metrics.jsonl.

    Args:
        path: of the file.
        step: rows of later steps are dropped first: they are of steps that this training takes again.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        with writing(path):
            write_atomically(path, "".join(_rows_up_to(path, step)))
            self._file = path.open("a", encoding="utf-8")

    def write(self, row: Row) -> None:
        """Append one row."""
        with writing(self._path):
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Wait until the disk has all rows."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        with writing(self._path):
            self._file.close()


def _rows_up_to(path: Path, step: int) -> list[str]:
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            # Without its line break it is the last line of a job that was killed while it wrote.
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, LookupError, TypeError, RecursionError):
            continue  # Nothing that dpnet wrote.
    return kept


def last_step(path: Path) -> int:
    """Step of the last whole row of a learning curve; 0 where there is none."""
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


class Console(Protocol):
    """Where a person watches the training."""

    def note(self, text: str) -> None:
        """Tell something once."""

    def trained(self, row: Row, samples: int) -> None:
        """Tell a row about training steps; `samples` were used since the training began."""

    def evaluated(self, row: Row) -> None:
        """Tell a row about an evaluation."""

    def close(self) -> None:
        """Tell no more."""


class SilentConsole:
    """Tells nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def trained(self, row: Row, samples: int) -> None:
        """Nothing."""

    def evaluated(self, row: Row) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class PlainConsole:
    """Lines of text at a bounded rate, for files and pipes.

    Args:
        total_steps: of the training.
    """

    def __init__(self, total_steps: int) -> None:
        self._total_steps = total_steps
        self._next_s = 0.0

    def note(self, text: str) -> None:
        """See Console.note."""
        print(text, flush=True)

    def trained(self, row: Row, samples: int) -> None:
        """See Console.trained."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + PLAIN_INTERVAL_S
            self.note(
                f"{self._place(row)}  loss {row['loss']:.4f}  accuracy {row['accuracy']:7.2%}  "
                f"{row['samples_per_s']:,.0f} samples/s"
            )

    def evaluated(self, row: Row) -> None:
        """See Console.evaluated."""
        self.note(f"{self._place(row)}  test accuracy {row['eval_accuracy']:.2%}  test loss {row['eval_loss']:.4f}")

    def close(self) -> None:
        """Nothing to close."""

    def _place(self, row: Row) -> str:
        digits = len(str(self._total_steps))
        return f"epoch {row['epoch']:6.2f}  step {row['step']:{digits}}/{self._total_steps}"


class BarConsole:
    """A progress bar in samples, for terminals, with rate and time left; notes and evaluations above it.

    Args:
        total_steps: of the training.
        total_samples: of the training.
        samples: used before it is shown.
    """

    def __init__(self, total_steps: int, total_samples: int, samples: int) -> None:
        from tqdm import tqdm

        self._plain = PlainConsole(total_steps)
        self._plain.note = self.note  # type: ignore[method-assign]
        self._bar = tqdm(
            total=total_samples, initial=samples, unit=" samples", unit_scale=True, dynamic_ncols=True, file=sys.stdout
        )

    def note(self, text: str) -> None:
        """See Console.note."""
        self._bar.write(text)

    def trained(self, row: Row, samples: int) -> None:
        """See Console.trained."""
        self._bar.set_postfix(loss=f"{row['loss']:.4f}", refresh=False)
        self._bar.update(samples - self._bar.n)

    def evaluated(self, row: Row) -> None:
        """See Console.evaluated."""
        self._plain.evaluated(row)

    def close(self) -> None:
        """See Console.close."""
        self._bar.close()


def make_console(kind: str, *, total_steps: int, total_samples: int, samples: int) -> Console:
    """The console that `output.progress` asks for: auto, bar, plain or none."""
    if kind == "auto":
        kind = "bar" if is_terminal() else "plain"
    if kind == "bar":
        return BarConsole(total_steps, total_samples, samples)
    return PlainConsole(total_steps) if kind == "plain" else SilentConsole()


def is_terminal() -> bool:
    """Whether what this rank prints ends up on a terminal.

    Under mpirun that is decided by mpirun's own output: it gives ranks a pipe when it is on a terminal itself (MPICH),
    and a terminal when its own output goes to a file (Open MPI).
    """
    if launched().world_size == 1:
        return sys.stdout.isatty()
    try:
        return os.readlink(f"/proc/{os.getppid()}/fd/1").startswith(("/dev/pts/", "/dev/tty"))
    except OSError:
        return False
