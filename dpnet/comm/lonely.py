"""Says what may go wrong inside the initialisation of MPI: another MPI's launcher, other ranks that do not come.

That call waits for all ranks, and lets no Python thread run meanwhile. So a shell prints the sentence, unless it is
ended before: it costs a millisecond or two.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import time
from types import TracebackType

from dpnet.environment import Launched, launched, own_training, without_rank
from dpnet.text import complain

NOTE_AFTER_S = 60
RANKS = (0, 1)
"""Ranks that say it: enough for a job in which any one rank does not come, and not a thousand lines."""


def warn(text: str) -> None:
    """Rank 0 prints a note, if there is one, before the initialisation of MPI, which may abort the job."""
    if not text:
        return
    if launched().rank:
        time.sleep(1)  # The launcher ends all ranks as soon as one of them fails.
    else:
        complain(f"note: {text}")


class Lonely:
    """From its start on, prints a note where this rank waits for others; leaving the context ends that.

    Args:
        expected: what the launcher set for this rank.
    """

    def __init__(self, expected: Launched) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if expected.rank not in RANKS:
            return
        note = (
            f"note: rank {expected.rank} of {expected.world_size} on {socket.gethostname()} has waited "
            f"{NOTE_AFTER_S} s for the others to start dpnet. {own_training()}"
        )
        # cat ends as soon as this process ends, or leaves the context.
        line = f"timeout {NOTE_AFTER_S} cat >/dev/null; [ $? = 124 ] && printf '%s\\n' {shlex.quote(note)} >&2"
        with contextlib.suppress(OSError):  # Without a shell there is no note.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", line],
                env=without_rank(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def __enter__(self) -> None:
        """Nothing more: it waits already."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()
