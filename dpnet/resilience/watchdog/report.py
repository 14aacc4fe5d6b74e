"""A report of one rank: where it is, since when, and what its process does."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

GONE = ""
STOPPED = "Tt"
STATES = {
    GONE: "is gone",
    "T": "is stopped by a signal",
    "t": "is held by a debugger",
    "R": "is computing",
    "D": "waits for the disk",
}
"""What a process does, by the letter in /proc/PID/stat; with any other letter it sleeps."""


@dataclass(frozen=True)
class Report:
    """Where a rank is.

    Attributes:
        seconds: spent in the phase so far.
        operation: in which it waits for other ranks, for waiting_s seconds; "": it waits for none.
        idle_s: seconds since its last heartbeat.
        state: of its process, see STATES.
        by: the rank that wrote the report.
    """

    rank: int
    host: str
    pid: int
    step: int
    phase: str
    seconds: float
    operation: str
    waiting_s: float
    idle_s: float
    state: str
    by: int

    @property
    def is_own(self) -> bool:
        """Whether the rank wrote the report itself."""
        return self.by == self.rank

    def text(self) -> str:
        """A line for programs, and the same for people."""
        waits = f"waits for other ranks in {self.operation} for {self.waiting_s:.1f} s"
        lines = [
            json.dumps(asdict(self)),
            f"rank {self.rank} on {self.host}, process {self.pid}, step {self.step}",
            f"in {self.phase} for {self.seconds:.1f} s; nothing finished for {self.idle_s:.1f} s",
            waits if self.operation else "waits for no other rank",
            f"its process {STATES.get(self.state, 'sleeps')}",
        ]
        if not self.is_own:
            lines.append(f"written by rank {self.by}, for it cannot")
        return "\n".join(lines) + "\n\n"


def read(path: Path) -> Report | None:
    """The report in a file; None if the file cannot be read."""
    try:
        with path.open() as file:
            return Report(**json.loads(file.readline()))
    except (OSError, ValueError, TypeError):
        return None


def process(pid: int) -> tuple[str, float]:
    """State of a process and its start time in the kernel's ticks; GONE and 0 if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return GONE, 0.0
    fields = text.rpartition(")")[2].split()  # The process's name, in brackets, may contain anything.
    return (GONE, 0.0) if fields[0] in "ZX" else (fields[0], float(fields[19]))
