"""The writer process (see `writer.py`), as the training sees it: started, given orders, asked for answers, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from dpnet.checkpoint.folder import CheckpointFolder
from dpnet.environment import SAFE_PATH, without_rank
from dpnet.whereabouts import HERE


class WriterProcess:
    """A running writer.

    Args:
        folder: of the checkpoints.
        descriptor: of the memory that holds their tensors.
        kept_open: another descriptor that the process keeps open as long as it lives.

    Raises:
        OSError: the process cannot be started or reached; all methods but `end` raise it too.
    """

    def __init__(self, folder: CheckpointFolder, descriptor: int, kept_open: int | None) -> None:
        code = (
            f"{SAFE_PATH}; import json; sys.path[:] = json.loads(sys.argv[1]); "
            "from dpnet.checkpoint.writer import main; main()"
        )
        arguments = [json.dumps(sys.path), str(descriptor), str(folder.path), str(folder.keep_last)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=without_rank(os.environ),
            start_new_session=True,  # A signal to the rank's process group does not end its write.
            pass_fds=[descriptor, *([] if kept_open is None else [kept_open])],
        )
        HERE.helpers.add(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._received = b""

    def send(self, line: bytes) -> None:
        """Send a line to the standard input of the writer."""
        self._stdin.write(line)
        self._stdin.flush()

    def answer(self, wait_s: float) -> Mapping[str, Any] | None:
        """The next answer of the writer, waiting up to `wait_s` seconds for it; None: there is none yet.

        Raises:
            EOFError: the writer has ended.
        """
        if not select.select([self._stdout], [], [], wait_s)[0]:
            return None
        data = os.read(self._stdout.fileno(), 65536)
        if not data:
            raise EOFError
        self._received += data
        if not self._received.endswith(b"\n"):
            return None
        line, self._received = self._received, b""
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Let the writer end, once it has written everything it was given."""
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # If the writer is gone, closing flushes into a broken pipe.
        self._process.wait()
        HERE.helpers.discard(self._process.pid)
