"""Consoles: sinks for the person who watches a training, as a progress bar or as lines of text."""

from __future__ import annotations

import os
import sys
import time

from dpnet.environment import launched
from dpnet.output.events import Evaluated, Event, Note, RanksLost, Sink, StepsTaken
from dpnet.text import counted

PLAIN_INTERVAL_S = 5.0
"""Least seconds between two plain lines about training steps."""


class PlainConsole:
    """A sink that prints lines of text, those about training steps at a bounded rate: for files and pipes.

    Args:
        total_steps: of the training.
    """

    def __init__(self, total_steps: int) -> None:
        self._total_steps = total_steps
        self._next_s = 0.0

    def write(self, event: Event) -> None:
        """See Sink.write."""
        if isinstance(event, StepsTaken):
            if time.monotonic() < self._next_s:
                return
            self._next_s = time.monotonic() + PLAIN_INTERVAL_S
        if text := line(event, self._total_steps):
            print(text, flush=True)

    def flush(self) -> None:
        """See Sink.flush. Every line was flushed as it was printed."""

    def close(self) -> None:
        """See Sink.close. The standard output is not this console's to close."""


class BarConsole:
    """A sink that shows a progress bar in samples, with rate and time left, and lines of text above it: for terminals.

    Args:
        total_steps: of the training.
        total_samples: of the training.
        samples: already used when the bar is first shown.
    """

    def __init__(self, total_steps: int, total_samples: int, samples: int) -> None:
        from tqdm import tqdm

        self._total_steps = total_steps
        self._bar = tqdm(
            total=total_samples, initial=samples, unit=" samples", unit_scale=True, dynamic_ncols=True, file=sys.stdout
        )

    def write(self, event: Event) -> None:
        """See Sink.write."""
        if isinstance(event, StepsTaken):
            self._bar.set_postfix(loss=f"{event.loss:.4f}", refresh=False)
            self._bar.update(event.samples - self._bar.n)
        elif text := line(event, self._total_steps):
            self._bar.write(text)

    def flush(self) -> None:
        """See Sink.flush. The bar is drawn by itself, several times a second."""

    def close(self) -> None:
        """See Sink.close."""
        self._bar.close()


def make_consoles(kind: str, *, total_steps: int, total_samples: int, samples: int) -> list[Sink]:
    """The console that `output.progress` asks for: "auto", "bar" or "plain"; none for "none"."""
    if kind == "auto":
        kind = "bar" if is_terminal() else "plain"
    if kind == "bar":
        return [BarConsole(total_steps, total_samples, samples)]
    return [PlainConsole(total_steps)] if kind == "plain" else []


def line(event: Event, total_steps: int) -> str:
    """An event as a line of text; empty for an event that consoles do not show."""
    match event:
        case Note():
            return event.text
        case RanksLost():
            names = ", ".join(f"rank {rank} on {host}" for rank, host in zip(event.ranks, event.hosts, strict=True))
            return (
                f"lost {names} (noticed after {event.detect_s:.2f} s); going on after step {event.step:,} with "
                f"{counted(event.world_size, 'rank')}, {event.recover_s:.2f} s later"
            )
        case StepsTaken():
            return (
                f"{_place(event, total_steps)}  loss {event.loss:.4f}  accuracy {event.accuracy:7.2%}  "
                f"{event.samples_per_s:,.0f} samples/s"
            )
        case Evaluated():
            scores = f"test accuracy {event.eval_accuracy:.2%}  test loss {event.eval_loss:.4f}"
            return f"{_place(event, total_steps)}  {scores}"
    return ""


def _place(event: StepsTaken | Evaluated, total_steps: int) -> str:
    return f"epoch {event.epoch:6.2f}  step {event.step:{len(str(total_steps))}}/{total_steps}"


def is_terminal() -> bool:
    """Whether the output of this rank ends up on a terminal.

    Under mpirun the output of mpirun itself decides: ranks get a pipe though mpirun is on a terminal (MPICH), or a
    terminal though the output of mpirun goes to a file (Open MPI).
    """
    if launched().world_size == 1:
        return sys.stdout.isatty()
    try:
        return os.readlink(f"/proc/{os.getppid()}/fd/1").startswith(("/dev/pts/", "/dev/tty"))
    except OSError:
        return False
