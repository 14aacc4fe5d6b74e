"""What the training knows of whoever writes its checkpoints; and the simplest writer, a thread for what is small.

A writer makes copies, is ordered to write them, and answers later.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import FILES, Checkpoint
from dpnet.errors import OutputError

Answer = Mapping[str, Any]
"""`error`: the write has ended, with this error, empty if there was none. `written`: it has come to so many bytes."""


class Writer(Protocol):
    """Writes copies of checkpoints."""

    def copy(self, content: Checkpoint, slot: int, best_step: int | None, after: Iterable[Path]) -> Any:
        """Copy a checkpoint; returns what `send` needs to have it written.

        Args:
            content: the checkpoint.
            slot: 0 or 1; the copy that was in it is overwritten.
            best_step: see CheckpointFolder.save.
            after: see CheckpointFolder.save.
        """

    def send(self, order: Any, *, urgent: bool) -> None:
        """Have a copy written; the one before must have been answered.

        Args:
            order: from `copy`.
            urgent: somebody waits for it.

        Raises:
            OSError: the writer cannot be reached.
        """

    def hurry(self) -> None:
        """Somebody waits, from now on, for what is being written."""

    def answer(self, wait_s: float) -> Answer | None:
        """The next answer, waiting up to `wait_s` seconds for it; None: there is none yet."""

    def end(self, wait_s: float) -> bool:
        """Let the writer end once it has written what it was given; returns whether it has ended in time."""


class WriterThread:
    """Writes in a thread of this process, at its priority: for checkpoints that take next to no time of the processor.

    Args:
        folder: of the checkpoints.
    """

    def __init__(self, folder: CheckpointFolder) -> None:
        self._folder = folder
        self._thread: threading.Thread | None = None
        self._answers = queue.SimpleQueue[Answer]()

    def copy(self, content: Checkpoint, slot: int, best_step: int | None, after: Iterable[Path]) -> Any:
        """See Writer.copy. The slot has no meaning: every copy has memory of its own."""
        tensors = {name: {key: np.array(x) for key, x in getattr(content, name).items()} for name in FILES}
        return Checkpoint(**tensors, manifest=content.manifest), best_step, list(after)

    def send(self, order: Any, *, urgent: bool) -> None:
        """See Writer.send."""
        self._thread = threading.Thread(target=self._write, args=order, name="dpnet-checkpoint", daemon=True)
        self._thread.start()

    def _write(self, content: Checkpoint, best_step: int | None, after: list[Path]) -> None:
        error = "it ended with a traceback"
        try:
            self._folder.save(content, best_step=best_step, after=after)
            error = ""
        except OutputError as failure:
            error = str(failure)
        finally:
            self._answers.put({"error": error})

    def hurry(self) -> None:
        """See Writer.hurry."""

    def answer(self, wait_s: float) -> Answer | None:
        """See Writer.answer."""
        try:
            return self._answers.get(block=wait_s > 0, timeout=wait_s or None)
        except queue.Empty:
            return None

    def end(self, wait_s: float) -> bool:
        """See Writer.end."""
        if self._thread is not None:
            self._thread.join(wait_s)
            return not self._thread.is_alive()
        return True
