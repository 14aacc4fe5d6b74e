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

LAUNCHER_NAMES = ("OMPI_", "PMI", "PRTE_", "MPI_LOCAL", "SLURM_PROCID")
"""What the variables begin with by which a launcher marks its ranks. The writer is not a rank."""


class WriterProcess:
    """A running writer.

    Args:
        folder: of the checkpoints.
        descriptor: of the memory that they are written from.
        kept_open: another descriptor that the process keeps open as long as it lives.

    Raises:
        OSError: it cannot be started, or reached; so do all methods but `end`.
    """

    def __init__(self, folder: CheckpointFolder, descriptor: int, kept_open: int | None) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHER_NAMES)}
        code = (
            "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from dpnet.checkpoint.writer import main; main()"
        )
        arguments = [json.dumps(sys.path), str(descriptor), str(folder.path), str(folder.keep_last)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            start_new_session=True,  # What ends a rank's process group lets it finish.
            pass_fds=[descriptor, *([] if kept_open is None else [kept_open])],
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._heard = b""

    def send(self, line: bytes) -> None:
        """Send a line to its standard input."""
        self._stdin.write(line)
        self._stdin.flush()

    def answer(self, wait_s: float) -> Mapping[str, Any] | None:
        """Its next answer, for which this waits up to `wait_s` seconds; None: there is none yet.

        Raises:
            EOFError: it has ended.
        """
        if not select.select([self._stdout], [], [], wait_s)[0]:
            return None
        said = os.read(self._stdout.fileno(), 65536)
        if not said:
            raise EOFError
        self._heard += said
        if not self._heard.endswith(b"\n"):
            return None
        line, self._heard = self._heard, b""
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Let it end, once it has written everything it was given."""
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # If the process is gone, what was still to be sent is lost.
        self._process.wait()
