"""Asynchronous checkpoints: the training waits for a copy in memory, and a process of its own writes that copy.

There is room for two copies: while one is written, another may wait, and a newer copy replaces the one that waits. So a
disk that is too slow for all checkpoints gets some of them. A write that fails is reported and tried again, from the
copy.

            training     ──copy──▶  slot 0  ──written by──▶  writer process   (see `writer.py`)
                         ──copy──▶  slot 1     waits

A small state is written in this process and at once, which takes no longer than a step or two.

The writer is a new program, not a fork: a fork would inherit the memory of MPI.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import FILES, Checkpoint
from dpnet.checkpoint.slots import Slots
from dpnet.checkpoint.writer_process import WriterProcess
from dpnet.errors import OutputError

SMALL = 1 << 20
"""Bytes; a state of fewer is small."""
PAUSE_S = 0.2
"""Seconds before a failed write is tried again; each further pause is twice as long."""


@dataclass
class _Order:
    """A checkpoint to be written: its slot, its step, the line for the writer, and whether it is the best so far."""

    slot: int
    step: int
    line: bytes
    is_best: bool


class Saver:
    """Saves checkpoints in the background.

    Args:
        folder: where the checkpoints go.
        max_failed: failed writes in a row that are too many.
        tell: is called with a sentence for each write that fails and is tried again.
        kept_open: a descriptor that the writer keeps open as long as it lives: the run directory's lock.
    """

    def __init__(
        self, folder: CheckpointFolder, *, max_failed: int, tell: Callable[[str], None], kept_open: int | None = None
    ) -> None:
        self._folder, self._max_failed, self._tell, self._kept_open = folder, max_failed, tell, kept_open
        self._writer: WriterProcess | None = None
        self._slots: Slots | None = None
        self._writing: _Order | None = None
        self._waiting: _Order | None = None
        self._failed, self._why, self._again_s = 0, "", 0.0

    def save(self, content: Checkpoint, *, best_step: int | None, last: bool = False) -> None:
        """Copy a checkpoint, to be written soon.

        Args:
            content: its tensors may be views; they are copied before this returns.
            best_step: see CheckpointFolder.save.
            last: no other checkpoint follows, so a writer that has not been started yet is not worth starting.
        """
        num_bytes = sum(array.nbytes for name in FILES for array in getattr(content, name).values())
        if self._writer is None and self._writing is None and (last or num_bytes < SMALL):
            self._write_here(content, best_step)
            return
        self.poll()
        while self._waiting is not None and self._waiting.is_best and not self._failed:
            self._listen(wait_s=1.0)  # The best one must reach the disk: no newer one may replace it.
        slot = 0 if self._writing is None or self._writing.slot == 1 else 1
        line = self._copy(content, slot, best_step)
        self._waiting = _Order(slot, content.step, line, content.step == best_step)
        self._next()

    def poll(self) -> bool:
        """Read the writer's answers; returns whether too many writes have failed, see `check`."""
        if self._writing is not None:
            self._listen(wait_s=0.0)
        return self._failed >= self._max_failed

    def check(self) -> None:
        """Raises OutputError if too many writes have failed."""
        if self._failed >= self._max_failed:
            raise OutputError(f"{self._failed} checkpoints in a row could not be written: {self._why}")

    def flush(self) -> None:
        """Wait until all checkpoints are on the disk.

        Raises:
            OutputError: too many writes have failed.
        """
        while self._writing is not None:
            self.check()
            self._listen(wait_s=1.0)
        self.check()

    def close(self) -> None:
        """End the writer, once it has written everything it was given."""
        if self._writer is not None:
            self._writer.end()
            self._writer = None
        if self._slots is not None:
            self._slots.close()
            self._slots = None

    def _write_here(self, content: Checkpoint, best_step: int | None) -> None:
        while True:
            try:
                self._folder.save(content, best_step=best_step)
                return
            except OutputError as error:
                self._fail(str(error))
                self.check()
                time.sleep(max(0.0, self._again_s - time.monotonic()))

    def _copy(self, content: Checkpoint, slot: int, best_step: int | None) -> bytes:
        """Copy a checkpoint into a slot; returns the writer's order."""
        if self._slots is None:
            self._slots = Slots(content)
        order = {"files": self._slots.copy(content, slot), "manifest": content.manifest, "best_step": best_step}
        return json.dumps(order).encode() + b"\n"

    def _next(self) -> None:
        """Send the order that waits, if the writer has none."""
        if self._writing is None and self._waiting is not None:
            self._writing, self._waiting = self._waiting, None
            self._send()

    def _send(self) -> None:
        assert self._writing is not None
        assert self._slots is not None
        try:
            if self._writer is None:
                self._writer = WriterProcess(self._folder, self._slots.descriptor, self._kept_open)
            self._writer.send(self._writing.line)
        except OSError as error:
            self._fail(f"the process that writes cannot be reached: {error.strerror or error}")

    def _listen(self, *, wait_s: float) -> None:
        """Read an answer of the writer, waiting up to `wait_s` for it; send a failed order again when it is time."""
        if self._failed and self._writing is not None and self._again_s:
            pause_s = self._again_s - time.monotonic()
            if pause_s > wait_s:
                time.sleep(wait_s)
                return
            time.sleep(max(0.0, pause_s))
            self._again_s = 0.0
            self._send()
        if self._writer is None:
            return
        try:
            if answer := self._writer.answer(wait_s):
                self._done(answer)
        except EOFError:
            self._writer.end()
            self._writer = None
            self._fail("the process that writes checkpoints has ended")

    def _done(self, answer: Mapping[str, Any]) -> None:
        if answer["error"]:
            self._fail(answer["error"])
            return
        self._failed, self._writing = 0, None
        self._next()

    def _fail(self, why: str) -> None:
        self._failed, self._why = self._failed + 1, why
        self._again_s = time.monotonic() + PAUSE_S * 2 ** (self._failed - 1)
        if self._failed < self._max_failed:
            self._tell(f"note: {why}; trying again ({self._failed} of {self._max_failed})")
