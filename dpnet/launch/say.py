"""What `dpnet launch` itself says, on the standard error."""

from __future__ import annotations

import contextlib

from dpnet.text import complain


def say(text: str) -> None:
    """Print a line of `dpnet launch` itself."""
    with contextlib.suppress(OSError):  # Its disk is full, or its reader gone: the job must go on.
        complain(f"dpnet launch: {text}")
