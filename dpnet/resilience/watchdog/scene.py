"""The files of one hang, in folders that all ranks see: a report of each rank, and a summary."""

from __future__ import annotations

import faulthandler
from pathlib import Path

from dpnet.resilience.watchdog.report import Report

SUMMARY = "summary.txt"


class Scene:
    """The files of one hang.

    The steps of ranks that wait for each other differ by one at most, so their reports are in up to three folders.

    Args:
        folder: of the run.
        step: of this rank.
        after: seconds of time.time; older files belong to an earlier hang.

    Attributes:
        path: the folder that this rank writes to.
    """

    def __init__(self, folder: Path, step: int, *, after: float) -> None:
        self.path = folder / f"hang-{step}"
        self._folders = [folder / f"hang-{near}" for near in (step, step - 1, step + 1)]
        self._after = after

    def write(self, report: Report, found: bytes | None = None) -> None:
        """Write a report.

        Args:
            report: of a rank.
            found: its stacks; None: write those of this process.

        Raises:
            OSError: the report cannot be written.
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
        """The reports written so far, by rank."""
        paths = [path for folder in self._folders for path in folder.glob("rank-*.txt") if self._is_of_this_hang(path)]
        return {int(path.stem.removeprefix("rank-")): path for path in reversed(paths)}

    def refresh(self, rank: int) -> None:
        """Have the file system list the folder anew: a client of NFS does so only after changing the folder itself.

        Raises:
            OSError: the folder cannot be changed.
        """
        path = self.path / f"look.{rank}"
        path.touch()
        path.unlink()

    def is_summarised(self) -> bool:
        """Whether some rank has written the summary."""
        return any(self._is_of_this_hang(folder / SUMMARY) for folder in self._folders)

    def summarise(self, text: str) -> None:
        """Write the summary.

        Raises:
            OSError: the summary cannot be written.
        """
        draft = self.path / "summary.draft"
        draft.write_text(text + "\n")
        draft.replace(self.path / SUMMARY)

    def _is_of_this_hang(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime > self._after
        except OSError:
            return False
