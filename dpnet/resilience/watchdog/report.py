"""A hang, as its ranks tell of it: each writes a report to a folder that all ranks see.

A rank that is stopped, dead, or in a call that never lets go of the interpreter cannot write one. The ranks of a node
see each other's whereabouts in shared memory, so the first of them that is still there writes the report in its place.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dpnet import whereabouts
from dpnet.resilience.watchdog import stacks

GONE = ""
STOPPED = "Tt"
STATES = {
    GONE: "is gone",
    "T": "is stopped by a signal",
    "t": "is held by a debugger",
    "R": "is computing",
    "D": "waits for the disk",
}
"""What a process does, by the letter in /proc/PID/stat; any other: it sleeps."""
SUMMARY = "summary.txt"


@dataclass(frozen=True)
class Report:
    """Where a rank is.

    Attributes:
        seconds: in the phase.
        operation: in which it waits for other ranks, for waiting_s; "": in none.
        idle_s: since it last finished something.
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
        """Whether the rank could write it itself."""
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


class Node:
    """The ranks of a node, as one of them sees them.

    Args:
        rows: whereabouts of each.
        ranks: their numbers.
        rank: this one's.
        host: the node's name.
        stale_s: a watchdog that was not seen for so long cannot run.
    """

    def __init__(
        self, rows: Sequence[memoryview[float]], ranks: range, *, rank: int, host: str, stale_s: float
    ) -> None:
        self.ranks = ranks
        self._rows = rows
        self._rank = rank
        self._host = host
        self._stale_s = stale_s

    def stuck(self) -> list[int]:
        """Ranks whose watchdogs cannot run."""
        now = time.monotonic()
        others = [rank for rank in self.ranks if rank != self._rank]
        return [rank for rank in others if now - self._row(rank)[whereabouts.ALIVE] > self._stale_s]

    def is_first(self) -> bool:
        """Whether this rank is the first whose watchdog runs."""
        stuck = self.stuck()
        return all(rank in stuck for rank in self.ranks if rank < self._rank)

    def report(self, rank: int) -> Report:
        """Report of a rank, by this one."""
        row, now = self._row(rank), time.monotonic()
        operation = whereabouts.OPERATIONS[int(row[whereabouts.OPERATION])]
        return Report(
            rank=rank,
            host=self._host,
            pid=int(row[whereabouts.PID]),
            step=int(row[whereabouts.STEP]),
            phase=whereabouts.PHASES[int(row[whereabouts.PHASE])],
            seconds=now - row[whereabouts.SINCE],
            operation=operation,
            waiting_s=now - row[whereabouts.WAITING_SINCE] if operation else 0.0,
            idle_s=now - row[whereabouts.BEAT],
            state=self._state(rank),
            by=rank if rank == self._rank or rank not in self.stuck() else self._rank,
        )

    def stacks(self, rank: int) -> bytes:
        """The stacks of a stuck rank; empty if it cannot even be asked."""
        row = self._row(rank)
        descriptor = int(row[whereabouts.STACKS])
        if descriptor and self._state(rank) not in (GONE, *STOPPED):
            return stacks.ask(int(row[whereabouts.PID]), descriptor)
        return b""

    def kill_stuck(self) -> None:
        """End the processes of the ranks whose watchdogs cannot run."""
        for rank in self.stuck():
            if self._state(rank) != GONE:
                with contextlib.suppress(OSError):
                    os.kill(int(self._row(rank)[whereabouts.PID]), signal.SIGKILL)

    def _state(self, rank: int) -> str:
        row = self._row(rank)
        state, born = process(int(row[whereabouts.PID]))
        return state if born == row[whereabouts.BORN] else GONE  # Else its number has been given to another process.

    def _row(self, rank: int) -> memoryview[float]:
        return self._rows[self.ranks.index(rank)]


class Scene:
    """The files of one hang.

    The steps of ranks that wait for each other differ by one at most, so they are in up to three folders.

    Args:
        folder: of the run.
        step: of this rank.
        after: time.time; older files are of an earlier hang.
    """

    def __init__(self, folder: Path, step: int, *, after: float) -> None:
        self.path = folder / f"hang-{step}"
        self._folders = [folder / f"hang-{near}" for near in (step, step - 1, step + 1)]
        self._after = after

    def write(self, report: Report, found: bytes | None = None) -> None:
        """Write a report.

        Args:
            report: of a rank.
            found: its stacks; None: those of this process.

        Raises:
            OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / f"rank-{report.rank:05d}.txt"
        draft = path.with_suffix(f".{report.by}")
        with draft.open("wb") as file:
            file.write(report.text().encode())
            file.write(b"no stacks: its process does not answer\n" if found == b"" else found or b"")
            file.flush()
            if found is None:
                faulthandler.dump_traceback(file)
        draft.replace(path)

    def found(self) -> dict[int, Path]:
        """The reports there are, by rank."""
        paths = [path for folder in self._folders for path in folder.glob("rank-*.txt") if self._is_of_this_hang(path)]
        return {int(path.stem.removeprefix("rank-")): path for path in reversed(paths)}

    def refresh(self, rank: int) -> None:
        """See what is there now: a client of NFS looks again only once it has changed the folder itself.

        Raises:
            OSError: the folder cannot be changed.
        """
        path = self.path / f"look.{rank}"
        path.touch()
        path.unlink()

    def told(self) -> bool:
        """Whether some rank has written the summary."""
        return any(self._is_of_this_hang(folder / SUMMARY) for folder in self._folders)

    def tell(self, text: str) -> None:
        """Write the summary.

        Raises:
            OSError: it cannot be written.
        """
        draft = self.path / "summary.draft"
        draft.write_text(text + "\n")
        draft.replace(self.path / SUMMARY)

    def _is_of_this_hang(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime > self._after
        except OSError:
            return False


def read(path: Path) -> Report | None:
    """A report; None if it cannot be read."""
    try:
        with path.open() as file:
            return Report(**json.loads(file.readline()))
    except (OSError, ValueError, TypeError):
        return None


def process(pid: int) -> tuple[str, float]:
    """State of a process, and when it began, in the kernel's ticks; GONE and 0 if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return GONE, 0.0
    fields = text.rpartition(")")[2].split()  # The name, in brackets, may hold anything.
    return (GONE, 0.0) if fields[0] in "ZX" else (fields[0], float(fields[19]))
