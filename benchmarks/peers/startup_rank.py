"""A rank of `benchmarks.startup`: `dpnet train` up to its first step, with the time that each phase took.

    python -m benchmarks.peers.startup_rank FOLDER LAUNCHED [TRAIN ARGUMENTS ...]

FOLDER gets a file rank-N.json: seconds and processor seconds of each phase, and when the first step was done. LAUNCHED
is the time of time.monotonic() before the ranks were launched. With DPNET_STARTUP_TRACE strace writes the system calls
with a path to FOLDER/calls.PID, where a look for a file that does not exist marks the beginning of each phase.
"""

from __future__ import annotations

import time

BEGAN = time.monotonic()  # Before anything else is imported.

import contextlib
import functools
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dpnet.compute.threads import preset_threads

IMPORTS, REHEARSAL, FIRST_STEP = "imports", "rehearsal", "first step"
PHASES = {
    "dpnet.cli.main.parse": "arguments",
    "dpnet.comm.connect.connect": "MPI",
    "dpnet.training.run.choose_backend": "products and loops",
    "dpnet.training.opening.open_data": "data",
    "dpnet.training.run.identify": "data",
    "dpnet.training.run.choose_start": "run directory",
    "dpnet.training.prepare.rehearse": REHEARSAL,
    "dpnet.training.loop.build_parts": "parameters",
    "dpnet.training.loop.Loop.open": "run directory",
}
"""Functions, and the phase in which they count; all other time is the phase `IMPORTS`, which the most of it is."""
MARK = "/dpnet-phase/"
TRACE, MARKED = "DPNET_STARTUP_TRACE", "DPNET_STARTUP_MARKED"
STRACE = ("strace", "-ff", "-qq", "-e", "trace=%file,getdents64", "-e", "signal=none")


class Clock:
    """Which phase takes how long: a phase within another interrupts it.

    Attributes:
        spent: seconds, and seconds of a processor, of each phase.
    """

    def __init__(self, marks: bool) -> None:
        self.spent: dict[str, list[float]] = {}
        self._marks, self._phases, self._since = marks, [IMPORTS], (BEGAN, 0.0)
        self._mark()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block as this phase."""
        self._count()
        self._phases.append(name)
        self._mark()
        try:
            yield
        finally:
            self._count()
            self._phases.pop()
            self._mark()

    def is_in(self, name: str) -> bool:
        """Whether this phase is going on, interrupted or not."""
        return name in self._phases

    def _count(self) -> None:
        now = time.monotonic(), time.process_time()
        spent = self.spent.setdefault(self._phases[-1], [0.0, 0.0])
        for place, (one, before) in enumerate(zip(now, self._since, strict=True)):
            spent[place] += one - before
        self._since = now

    def _mark(self) -> None:
        if self._marks:
            os.path.lexists(f"{MARK}{self._phases[-1]}")


def watch(clock: Clock, path: str, name: str) -> None:
    """Count the calls of a function as a phase."""
    parts = path.split(".")
    modules = [".".join(parts[:length]) for length in range(1, len(parts)) if parts[length - 1].islower()]
    holder: Any = importlib.import_module(modules[-1])
    for part in parts[len(modules[-1].split(".")) : -1]:
        holder = getattr(holder, part)
    function: Callable[..., Any] = getattr(holder, parts[-1])

    @functools.wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        with clock.phase(name):
            return function(*arguments, **options)

    setattr(holder, parts[-1], timed)


def end_with_first_step(clock: Clock, path: Path, launched: float) -> None:
    """Write the times down when the first step has been taken."""
    trainer = importlib.import_module("dpnet.parallel.step").Trainer
    step = trainer.step

    @functools.wraps(step)
    def noted(*arguments: Any, **options: Any) -> Any:
        if clock.is_in(REHEARSAL) or path.exists():
            return step(*arguments, **options)
        with clock.phase(FIRST_STEP):
            result = step(*arguments, **options)
        spent = {name: {"s": seconds, "cpu_s": cpu} for name, (seconds, cpu) in clock.spent.items()}
        row = {"pid": os.getpid(), "phases": spent, "start_s": BEGAN - launched, "total_s": time.monotonic() - launched}
        path.write_text(json.dumps(row))
        return result

    trainer.step = noted


def main() -> None:
    """Begin a training, and write down how long that took."""
    folder, launched, *arguments = sys.argv[1:]
    if os.environ.pop(TRACE, None):
        os.environ[MARKED] = "1"
        os.execvp("strace", [*STRACE, "-o", f"{folder}/calls", sys.executable, *sys.orig_argv[1:]])
    clock = Clock(MARKED in os.environ)
    preset_threads()
    from dpnet.cli.main import run
    from dpnet.environment import launched as launched_as

    # `dpnet train` imports some of these only after it has connected; here that counts as imports all the same.
    for path, name in PHASES.items():
        watch(clock, path, name)
    end_with_first_step(clock, Path(folder, f"rank-{launched_as().rank}.json"), float(launched))
    sys.exit(run(["train", *arguments]))


if __name__ == "__main__":
    main()
