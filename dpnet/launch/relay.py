"""Passes what the ranks print to the terminal, and draws there what they have marked for it: see `output.screen`."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from dpnet.launch.reading import Reading
from dpnet.output.footer import Footer
from dpnet.output.screen import MARK, TOO_LONG_S, obey
from dpnet.output.terminal import Terminal, is_terminal
from dpnet.text import counted

_CHANGE_LINES = ("output", "output-filename", "tag-output", "timestamp-output", "xml")
_CHANGE_LINES_OF_MPICH = ("l", "prepend-rank", "prepend-pattern", "outfile-pattern", "outfile")


@contextlib.contextmanager
def drawn(mpirun_options: Sequence[str]) -> Iterator[Terminal | None]:
    """The terminal that this process draws on; None: there is none, or mpirun is to change what the ranks print."""
    names = {option.partition("=")[0].lstrip("-") for option in mpirun_options if option.startswith("-")}
    if not is_terminal(sys.stdout) or names & {*_CHANGE_LINES, *_CHANGE_LINES_OF_MPICH}:
        yield None
        return
    with contextlib.closing(Terminal(sys.stdout)) as terminal:
        yield terminal


class Relay:
    """Copies the standard output of ranks to a terminal, except for marked lines, which it draws.

    Args:
        stream: what the ranks print.
        terminal: gets it.
        num_ranks: that are about to start; None: unknown.
    """

    def __init__(self, stream: IO[bytes], terminal: Terminal, num_ranks: int | None) -> None:
        self._terminal, self._begun = terminal, False
        starting = Footer(f"starting {counted(num_ranks, 'rank')}" if num_ranks else "starting ranks")
        self._timer = threading.Timer(TOO_LONG_S, terminal.show, [starting])
        self._timer.daemon = True
        self._timer.start()
        self._rest = b""
        self._reading = Reading(stream, self._take)

    def close(self) -> None:
        """Wait for the end of the stream, and take the footer away."""
        self._reading.close()
        self._begin()

    def _take(self, data: bytes) -> bool:
        if data and not self._begun:
            self._begin()
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not obey(line, self._terminal):
                self._pass_on(line + b"\n")
        mark = MARK.encode()
        if not data or not mark.startswith(rest[: len(mark)]):
            self._pass_on(rest)  # It may be a question, without a line break.
            rest = b""
        self._rest = rest
        return False

    def _begin(self) -> None:
        self._begun = True
        self._timer.cancel()
        self._terminal.show(None)

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._terminal.write(data, self._terminal.stream)
