"""Asynchronous checkpoints: the training waits for a copy in memory, and another process writes that copy.

There is room for two copies: while one is written, another may wait, and a newer copy replaces the one that waits, but
not the best one. So a disk that is too slow for all checkpoints gets some of them. A write that fails is reported and
tried again, from the newest copy, after a pause that is longer each time.

            training     ──copy──▶  slot 0  ──written by──▶  writer process   (see `writer.py`)
                         ──copy──▶  slot 1     waits

While ranks compute, the writer is polite, at a least pace; what the ranks wait for is urgent (see `pace.py`). The
writer is a new program, not a fork: a fork would inherit the memory of MPI. A small state is written by a thread, for
which the training waits, if the disk is quick: that takes no longer than a step or two.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import FILES, Checkpoint
from dpnet.checkpoint.waiting import Waiting
from dpnet.checkpoint.writer_process import WriterProcess
from dpnet.checkpoint.writer_thread import Answer, Writer, WriterThread
from dpnet.errors import OutputError

SMALL = 1 << 20
"""Bytes; a state of fewer is small."""
QUICK_S = 2.0
"""The training waits so long for a small state, once. If that was too short, it waits for none from then on."""
PAUSE_S, PAUSE_FACTOR, MAX_PAUSE_S = 15.0, 8, 600.0
"""Seconds before a failed write is tried again; each further pause is so many times as long, up to the last."""
SHORT_PAUSE_S = 5.0
"""The longest pause once somebody waits who is in a hurry, such as a scheduler that has sent a signal."""


@dataclass
class _Order:
    """A checkpoint to be written: by whom, its slot, its step, its copy, and whether it is the best so far."""

    writer: Writer
    slot: int
    step: int
    copy: Any
    is_best: bool


class Saver:
    """Saves checkpoints in the background.

    Args:
        folder: where the checkpoints go.
        max_failed: failed writes in a row that are too many.
        tell: is called with a sentence for each write that fails and is tried again, and for each long wait.
        kept_open: a descriptor that the writer keeps open as long as it lives: the run directory's lock.
        cores: that the writer may use; empty: those of this process.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        *,
        max_failed: int,
        tell: Callable[[str], None],
        kept_open: int | None = None,
        cores: Iterable[int] = (),
    ) -> None:
        self._max_failed, self._tell = max_failed, tell
        self._thread, self._process = WriterThread(folder), WriterProcess(folder, kept_open, cores)
        self._writing: _Order | None = None
        self._waiting: _Order | None = None
        self._failed, self._why = 0, ""
        self._again_s: float | None = None
        """When a failed write is tried again; None: none has failed."""
        self._is_quick, self._is_awaited = True, False
        self._wait = Waiting(folder.path, tell)

    def save(
        self, content: Checkpoint, *, best_step: int | None, after: Iterable[Path] = (), last: bool = False
    ) -> bool:
        """Copy a checkpoint, to be written soon.

        Args:
            content: its tensors may be views; they are copied before this returns.
            best_step: see CheckpointFolder.save.
            after: see CheckpointFolder.save.
            last: no other checkpoint follows, so a writer process that has not been started yet is not worth starting.

        Returns:
            False: nothing was done, as the best checkpoint waits, which only a better one may replace. If this is the
            last one, call again.

        Raises:
            OutputError: the disk has not answered for too long.
        """
        self.poll()
        is_best = content.step == best_step
        if self._waiting is not None and self._waiting.is_best and not is_best and not self._failed:
            if last:
                self._await()
            return False
        self._is_awaited = False
        num_bytes = sum(array.nbytes for name in FILES for array in getattr(content, name).values())
        is_small = not self._process.is_started and (last or num_bytes < SMALL)
        writer: Writer = self._thread if is_small else self._process
        slot = 0 if self._writing is None or self._writing.slot == 1 else 1
        copy = writer.copy(content, slot, best_step, after)
        self._waiting = _Order(writer, slot, content.step, copy, is_best)
        self._next()
        if is_small and not last and self._is_quick and self._again_s is None:
            self._listen(QUICK_S)
            self._is_quick = self._writing is None or self._again_s is not None
        return True

    def poll(self) -> bool:
        """Read the writer's answers; returns whether too many writes have failed, see `check`."""
        if self._writing is not None:
            self._listen(0.0)
        return self._failed >= self._max_failed

    def check(self) -> None:
        """Raises OutputError if too many writes have failed."""
        if self._failed >= self._max_failed:
            raise OutputError(f"{self._failed} checkpoints in a row could not be written: {self._why}")

    def settled(self, *, in_a_hurry: bool = False) -> bool:
        """Whether the disk has all checkpoints; all wait for it. To be called again and again until it is so.

        Args:
            in_a_hurry: a failed write is tried again after a short pause.

        Raises:
            OutputError: too many writes have failed, or the disk has not answered for too long.
        """
        if in_a_hurry and self._again_s is not None:
            self._again_s = min(self._again_s, time.monotonic() + SHORT_PAUSE_S)
        self.poll()
        self.check()
        if self._writing is not None:
            self._await()
            return False
        self._is_awaited = False
        return True

    def close(self) -> None:
        """End the writer, once it has written everything it was given; it is left alone if the disk does not answer."""
        self._wait.begin()
        for writer in (self._process, self._thread):
            with contextlib.suppress(OutputError):
                while not writer.end(wait_s=0.1):
                    self._wait.tell("the last checkpoint")

    def _await(self) -> None:
        """Somebody waits for what is being written: hurry the writer once, and say what it is, if that is due."""
        assert self._writing is not None
        if not self._is_awaited:
            self._is_awaited = True
            self._wait.begin()
            self._writing.writer.hurry()
        if self._again_s is None:
            self._wait.tell(f"the checkpoint of step {self._writing.step:,}")

    def _next(self) -> None:
        """Send the order that waits, if the writer has none."""
        if self._writing is None and self._waiting is not None:
            self._writing, self._waiting = self._waiting, None
            self._send()

    def _send(self) -> None:
        assert self._writing is not None
        self._again_s = None
        try:
            self._writing.writer.send(self._writing.copy, urgent=self._is_awaited)
        except OSError as error:
            self._fail(f"the process that writes cannot be reached: {error.strerror or error}")

    def _listen(self, wait_s: float) -> None:
        """Read the writer's answers, waiting up to `wait_s` for one; try a failed write again when it is time."""
        if self._again_s is not None:
            if time.monotonic() < self._again_s or self._failed >= self._max_failed:
                return
            assert self._writing is not None
            if self._waiting is not None and not self._writing.is_best:
                self._writing, self._waiting = self._waiting, None
            self._send()
        while self._writing is not None and self._again_s is None:
            answer = self._writing.writer.answer(wait_s)
            if answer is None:
                return
            self._heed(answer)

    def _heed(self, answer: Answer) -> None:
        self._wait.heard(answer.get("written", 0))
        if answer.get("error"):
            self._fail(answer["error"])
        elif "error" in answer:
            self._failed, self._writing = 0, None
            self._next()

    def _fail(self, why: str) -> None:
        self._failed, self._why = self._failed + 1, why
        pause_s = min(PAUSE_S * PAUSE_FACTOR ** (self._failed - 1), MAX_PAUSE_S)
        self._again_s = time.monotonic() + pause_s
        if self._failed < self._max_failed:
            self._tell(f"note: {why}; trying again in {pause_s:.0f} s ({self._failed} of {self._max_failed})")
