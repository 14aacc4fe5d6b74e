"""Programs that keep cores busy beside what is tested."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Collection, Iterator


@contextlib.contextmanager
def busy(cores: Collection[int], programs: int = 1) -> Iterator[None]:
    """Other programs, which compute on these cores and on no others for as long as the block lasts."""
    code = f"import os; os.sched_setaffinity(0, {set(cores)})\nwhile True: pass"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(programs)]
    try:
        yield
    finally:
        for program in started:
            program.kill()
            program.wait()
