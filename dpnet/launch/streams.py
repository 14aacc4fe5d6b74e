"""Where what a job prints goes: all of it passes through this process, which knows when it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

from dpnet.environment import COLUMNS, DRAWN
from dpnet.launch.errorline import ErrorLine
from dpnet.launch.reading import Reading, StandardOutput, to_standard_error
from dpnet.launch.relay import Relay
from dpnet.output.terminal import Terminal, is_terminal
from dpnet.text import columns_of


class Streams:
    """The standard streams of an mpirun.

    Args:
        terminal: gets what ranks print on their standard output; None: the standard output of this process does.
        trains: the job has another result than what it prints, and goes on where that cannot be written.

    Attributes:
        stdout: of mpirun, for subprocess.Popen.
        stderr: likewise.
        variables: tell ranks where what they print gets to.
    """

    def __init__(self, terminal: Terminal | None, *, trains: bool) -> None:
        self._terminal, self._trains = terminal, trains
        self._output = StandardOutput(may_fail=trains)
        self._relay: Relay | None = None
        self._reading: Reading | None = None
        self._errors: ErrorLine | None = None
        self.variables = {COLUMNS: _columns(), **({DRAWN: "1"} if terminal else {})}
        self.stdout: int | None = subprocess.PIPE
        self.stderr = subprocess.PIPE
        if terminal is None:
            if sys.__stdout__ is None:
                self.stdout = subprocess.DEVNULL  # Closed. Its number may be that of a file by now.
            elif os.isatty(1):
                self.stdout = None
            elif sys.__stderr__ is not None and os.path.sameopenfile(1, 2):
                self.stderr = subprocess.STDOUT  # Both stay in the order in which mpirun writes them.

    @property
    def lost(self) -> str:
        """Why the output of the job is lost, which is its result; empty: it is not."""
        return "" if self._trains else self._output.failure

    @property
    def crashed_at_start(self) -> bool:
        """See ErrorLine."""
        return self._errors is not None and self._errors.crashed_at_start

    def open(self, stdout: IO[bytes] | None, stderr: IO[bytes] | None, num_ranks: int | None) -> None:
        """Begin to pass on what mpirun prints on these streams, of those that pass through this process."""
        if stdout is not None:
            if self._terminal is not None:
                self._relay = Relay(stdout, self._terminal, num_ranks)
            elif stderr is None:
                self._errors = ErrorLine(stdout, self._output.write)
            else:
                self._reading = Reading(stdout, self._pass_on)
        if stderr is not None:
            self._errors = ErrorLine(stderr, self._write_error)

    def close(self, *, succeeded: bool) -> str | None:
        """Wait until all is passed on; returns the last error, see `ErrorLine`."""
        for reading in (self._relay, self._reading):
            if reading is not None:
                reading.close()
        return self._errors.close(succeeded=succeeded) if self._errors else None

    def _pass_on(self, data: bytes) -> bool:
        self._output.write(data)
        return False

    def _write_error(self, data: bytes) -> None:
        if self._terminal is not None and is_terminal(sys.stderr):
            self._terminal.write(data, self._terminal.stream)
        elif sys.__stderr__ is not None:
            to_standard_error(data)


def _columns() -> str:
    try:
        return "" if sys.stderr is None else str(columns_of(sys.stderr.fileno()))
    except (OSError, ValueError):
        return ""  # No terminal.
