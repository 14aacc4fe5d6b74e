"""Ranks that stay for the next command: a start of ranks takes seconds, most commands of tests a fraction of one."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from sys import executable

from helpers.mpirun import mpirun, start
from helpers.patience import PATIENCE

PROGRAM = Path(__file__).with_name("served.py")


class Turns:
    """Runs dpnet commands, one after the other, on ranks that are started once for each number of ranks.

    A context, at the end of which all ranks end. Whoever ends its ranks, as an error on one rank alone does, has new
    ones started for the next command. How ranks start and end, and what a first training leaves in a process, is not
    for these: such tests start ranks of their own.
    """

    def __enter__(self) -> Turns:
        self._ranks: dict[int, _Ranks] = {}
        return self

    def __exit__(self, *_: object) -> None:
        while self._ranks:
            self._ranks.popitem()[1].close()

    def run(
        self, num_ranks: int, arguments: Sequence[str], *, timeout_s: float = 60, env: Mapping[str, str] | None = None
    ) -> tuple[int | None, str]:
        """Run `dpnet ARGUMENTS` in this folder; returns the exit code, None at the time limit, and what was printed."""
        ranks = self._ranks.pop(num_ranks, None) or _Ranks(num_ranks)
        code, text = ranks.run(arguments, PATIENCE * timeout_s, env or {})
        if ranks.have_ended:
            ranks.close()
        else:
            self._ranks[num_ranks] = ranks
        return code, text


class _Ranks:
    def __init__(self, num_ranks: int) -> None:
        command = [*mpirun(num_ranks), executable, str(PROGRAM)]  # Skips where there is no MPI.
        self._folder = tempfile.TemporaryDirectory(prefix="dpnet-turns-")
        self._path = Path(self._folder.name)
        self._orders, self._number = [], 0
        for rank in range(num_ranks):
            os.mkfifo(self._path / f"orders-{rank}")
            # Opened for reading too, which on Linux waits for nobody.
            self._orders.append(os.open(self._path / f"orders-{rank}", os.O_RDWR))
        self._job = start([*command, str(self._path)])
        self.have_ended = False

    def run(self, arguments: Sequence[str], limit_s: float, env: Mapping[str, str]) -> tuple[int | None, str]:
        output = self._path / f"output-{self._number}"
        output.touch()
        order = {"arguments": [*arguments], "output": str(output), "folder": os.getcwd(), "env": {**env}}
        for orders in self._orders:
            os.write(orders, f"{json.dumps(order)}\n".encode())
        files = [self._path / f"code-{self._number}-{rank}" for rank in range(len(self._orders))]
        code = self._wait(files, time.monotonic() + limit_s)
        self._number += 1
        said = output.read_text(errors="replace")
        return code, said + self._job.read() if self.have_ended else said

    def _wait(self, files: Sequence[Path], end: float) -> int | None:
        """The exit code that all ranks have returned, or that their mpirun has."""
        while not all(file.exists() for file in files):
            if (code := self._job.process.poll()) is not None or time.monotonic() > end:
                self.have_ended = True
                return code
            time.sleep(0.002)
        codes = {int(file.read_text()) for file in files}
        assert len(codes) == 1, f"the ranks return different exit codes: {codes}"
        return codes.pop()

    def close(self) -> None:
        self._job.close()
        for orders in self._orders:
            os.close(orders)
        self._folder.cleanup()
