"""What `dpnet launch` itself says, on the standard error."""

from __future__ import annotations

import contextlib
import sys

from dpnet.output.terminal import is_terminal
from dpnet.text import complain


def say(text: str) -> None:
    """Print a line of `dpnet launch` itself."""
    with contextlib.suppress(OSError):  # Its disk is full, or its reader gone: the job must go on.
        complain(f"dpnet launch: {text}")


def say_over_ctrl_c(text: str) -> None:
    """The same from the start of the line, where a terminal has shown the `^C` that was typed."""
    with contextlib.suppress(OSError):
        if is_terminal(sys.stderr):
            print(end="\r", file=sys.stderr, flush=True)
    say(text)
