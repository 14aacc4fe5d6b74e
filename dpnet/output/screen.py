"""Screens: where the words of a training go: a terminal with a footer, a file or pipe, or the terminal of the launcher.

mpirun passes whole lines only, and puts those of all ranks into one stream, so a rank cannot draw on its terminal.
Under `dpnet launch` it sends what it would draw instead, as marked lines, and `dpnet launch` draws it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Protocol

from dpnet.environment import DRAWN, launched
from dpnet.errors import OutputError
from dpnet.output.footer import Footer
from dpnet.text import complain, for_output

MARK = "\x1edpnet "
"""Begins a marked line. The rest is JSON: a string to print, or a footer, or null for no footer."""
TOO_LONG_S = 1.0
"""Seconds that something may take before it is told."""


class Screen(Protocol):
    """Where words go."""

    def say(self, text: str) -> None:
        """Print lines of text."""

    def show(self, footer: Footer | None) -> None:
        """Show another footer; None: none at all."""

    def close(self) -> None:
        """Show no footer any more."""


class PlainScreen:
    """The standard output, where there is no footer.

    Args:
        may_fail: it is not what the user wants of this process, but words about it. They are fitted to a terminal;
            where the disk is full, or the reader has gone, a training goes on without it.
    """

    def __init__(self, *, may_fail: bool = False) -> None:
        self._may_fail, self._failed = may_fail, False

    def say(self, text: str) -> None:
        """See Screen.say.

        Raises:
            BrokenPipeError: the reader of the standard output wants no more, as `head` does, and it may not fail.
            OutputError: the standard output cannot be written, and may not fail.
        """
        if self._failed:
            return
        try:
            print(for_output(text) if self._may_fail else text, flush=True)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and not self._may_fail:
                raise
            self._failed = True
            drop_standard_output()
            what = f"cannot write to standard output: {error.strerror or error}"
            if not self._may_fail:
                raise OutputError(what) from error
            try:
                complain(f"note: {what}; the training goes on")
            except OSError:
                drop(2)  # Both went to the same reader, as in `2>&1 | tee`.

    def show(self, footer: Footer | None) -> None:
        """See Screen.show. A footer without a bar is printed: it does not change every moment."""
        if footer is not None and footer.share is None:
            self.say(f"{footer.title} ...")

    def close(self) -> None:
        """See Screen.close."""


def drop_standard_output() -> None:
    """What is printed from here on, or waits to be written, goes nowhere: Python would complain of it at exit."""
    drop(1)


def drop(descriptor: int) -> None:
    """What is written to a descriptor from here on goes nowhere."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


class RemoteScreen:
    """The terminal of `dpnet launch`."""

    def __init__(self) -> None:
        self._shows = False

    def say(self, text: str) -> None:
        """See Screen.say."""
        self._send(text)

    def show(self, footer: Footer | None) -> None:
        """See Screen.show."""
        if footer is not None or self._shows:
            self._send(None if footer is None else asdict(footer))
        self._shows = footer is not None

    def close(self) -> None:
        """See Screen.close."""
        self.show(None)

    def _send(self, message: object) -> None:
        # One write: other lines of this process cannot come in between.
        sys.stdout.write(f"{MARK}{json.dumps(message)}\n")
        sys.stdout.flush()


def obey(line: bytes, screen: Screen) -> bool:
    """Do on a screen what a line of a rank's output says; False: it is not marked."""
    mark = MARK.encode()
    if not line.startswith(mark):
        return False
    try:
        message = json.loads(line[len(mark) :])
        if isinstance(message, str):
            screen.say(message)
        else:
            screen.show(None if message is None else Footer(**message))
    except (ValueError, TypeError):
        return False  # A rank printed something between the parts of the line.
    return True


_current: list[Screen] = [PlainScreen()]


def current() -> Screen:
    """The screen of this process."""
    return _current[-1]


@contextlib.contextmanager
def opened(kind: str) -> Iterator[Screen]:
    """Make the screen that `output.progress` asks for the current one; "plain" asks for one without a footer."""
    screen = _make(kind)
    _current.append(screen)
    try:
        yield screen
    finally:
        _current.remove(screen)
        screen.close()


def _make(kind: str) -> Screen:
    if kind == "plain":
        return PlainScreen(may_fail=True)
    if DRAWN in os.environ:
        return RemoteScreen()
    from dpnet.output import terminal  # Not above: most processes have none.

    launcher = launched()
    # Open MPI's mpirun gives a single rank a terminal of its own, wherever mpirun itself writes to.
    if launcher.world_size > 1 or launcher.size_name.startswith("OMPI"):
        return terminal.of_mpirun() or PlainScreen(may_fail=True)
    if kind == "bar" or terminal.is_terminal(sys.stdout):
        return terminal.Terminal(sys.stdout)
    return PlainScreen(may_fail=True)


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Tell what this process is doing, if the block takes long. Only a screen that was opened tells it."""
    screen = current()
    if len(_current) == 1:
        yield
        return
    timer = threading.Timer(TOO_LONG_S, lambda: screen.show(Footer(what)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        screen.show(None)
