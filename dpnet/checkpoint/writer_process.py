"""The writer process (see `writer.py`), as the training sees it: started, given orders, asked for answers, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.slots import Slots
from dpnet.checkpoint.writer_thread import Answer
from dpnet.environment import SAFE_PATH, without_rank
from dpnet.whereabouts import HERE


class WriterProcess:
    """Has a process write, which is started for the first order, and again if it has ended.

    Args:
        folder: of the checkpoints.
        kept_open: a descriptor that the process keeps open as long as it lives.
        cores: that the process may use; empty: those of this one.
    """

    def __init__(self, folder: CheckpointFolder, kept_open: int | None, cores: Iterable[int]) -> None:
        self._folder, self._kept_open, self._cores = folder, kept_open, list(cores)
        self._process: subprocess.Popen[bytes] | None = None
        self._slots: Slots | None = None
        self._received = b""

    @property
    def is_started(self) -> bool:
        """Whether there is anything that `end` must end."""
        return self._slots is not None

    def copy(self, content: Checkpoint, slot: int, best_step: int | None, after: Iterable[Path]) -> Any:
        """See Writer.copy."""
        if self._slots is None:
            self._slots = Slots(content)
        files = self._slots.copy(content, slot)
        return {"files": files, "manifest": content.manifest, "best_step": best_step, "after": list(map(str, after))}

    def send(self, order: Any, *, urgent: bool) -> None:
        """See Writer.send."""
        if self._process is not None and self._process.poll() is not None:
            self._end_process(None)  # It was killed, as by a system that ran out of memory.
        if self._process is None:
            self._process, self._received = self._start(), b""
        self._send({**order, "urgent": urgent})

    def hurry(self) -> None:
        """See Writer.hurry."""
        with contextlib.suppress(OSError):  # If the process is gone, `answer` says so.
            self._send({"urgent": True})

    def answer(self, wait_s: float) -> Answer | None:
        """See Writer.answer."""
        if self._process is None:
            return None
        assert self._process.stdout is not None
        if b"\n" not in self._received:
            if not select.select([self._process.stdout], [], [], wait_s)[0]:
                return None
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                self._end_process(None)
                return {"error": "the process that writes checkpoints has ended"}
            self._received += data
        line, newline, rest = self._received.partition(b"\n")
        if not newline:
            return None
        self._received = rest
        answer: Answer = json.loads(line)
        return answer

    def end(self, wait_s: float) -> bool:
        """See Writer.end."""
        if self._process is not None and not self._end_process(wait_s):
            return False
        if self._slots is not None:
            self._slots.close()
            self._slots = None
        return True

    def _start(self) -> subprocess.Popen[bytes]:
        assert self._slots is not None
        # A signal to the rank's process group must not end a write, nor the start of the process. (The session stays:
        # Linux may share cores out among sessions first.)
        code = (
            f"{SAFE_PATH}; import os; os.setpgid(0, 0); import json; sys.path[:] = json.loads(sys.argv[1]); "
            "from dpnet.checkpoint.writer import main; main()"
        )
        folder, cores = self._folder, self._cores or sorted(os.sched_getaffinity(0))
        words = [json.dumps(sys.path), self._slots.descriptor, folder.path, folder.keep_last, json.dumps(cores)]
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=without_rank(os.environ),
            pass_fds=[self._slots.descriptor, *([] if self._kept_open is None else [self._kept_open])],
        )
        HERE.helpers.add(process.pid)
        return process

    def _send(self, order: Mapping[str, Any]) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def _end_process(self, wait_s: float | None) -> bool:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()  # If the writer is gone, closing flushes into a broken pipe.
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return False
        HERE.helpers.discard(self._process.pid)
        self._process = None
        return True
