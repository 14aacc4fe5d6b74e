"""Whether all hosts of a job see the run directory.

    rank 0               leaves a mark in it
    a rank of each host  looks for the mark
    rank 0               removes it

Where a host does not see it, a training that is started again with its first rank there would find no checkpoint, and
begin anew.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path

from dpnet.comm.agree import on_root
from dpnet.comm.group import Group
from dpnet.comm.topology import on_one_host
from dpnet.errors import OutputError
from dpnet.text import counted

MARK = ".mark-"
"""Prefix of a mark's name. The rest is new each time: a file system cannot have kept in mind that there is no such."""
PATIENCE_S = 4.0
"""Seconds for which a host looks for a mark: a file system of a network may show what is new after three."""
FIRST_PAUSE_S, LAST_PAUSE_S = 0.01, 0.3


def check_shared(group: Group, path: Path, *, expected: bool) -> None:
    """Check that all hosts see the run directory; collective. One host has nothing to check.

    Args:
        group: all ranks.
        path: of the directory, which is there on rank 0's host.
        expected: whether they are to see it; False: nothing is checked.

    Raises:
        OutputError: a host does not see it.
    """
    if not expected or on_one_host(group):
        return
    mark = on_root(group, lambda: leave_mark(path))
    sees = not mark or group.node.rank > 0 or sees_mark(Path(mark))
    seen = group.allgather((group.host, sees))
    if group.rank == 0:
        remove_marks(path)
    if blind := [host for host, sees in seen if not sees]:
        first = seen[0][0]
        more = f" and {counted(len(blind) - 1, 'more host')}" if len(blind) > 1 else ""
        raise OutputError(
            f"the run directory {Path(mark).parent} is not shared: {blind[0]}{more} cannot see what {first} writes "
            "there. Started again with its first rank elsewhere, the training would begin anew. Choose a directory "
            f"that all hosts see with --output DIR; or, if its first rank always runs on {first}: "
            "--set output.shared=false",
            agreed=True,
        )


def leave_mark(path: Path) -> str:
    """Leave a new mark in a directory; returns its full path; empty: nothing can be written there."""
    mark = Path(os.path.abspath(path)) / f"{MARK}{uuid.uuid4().hex[:12]}"
    try:
        mark.touch()
    except OSError:
        return ""  # Whoever writes here next says why that is impossible.
    return str(mark)


def remove_marks(path: Path) -> None:
    """Remove all marks from a directory, also those of starts that were killed; only who has it may do so."""
    with contextlib.suppress(OSError):
        for mark in path.glob(f"{MARK}*"):
            mark.unlink(missing_ok=True)


def sees_mark(mark: Path, patience_s: float = PATIENCE_S) -> bool:
    """Whether this host sees a mark, perhaps after a while."""
    deadline, pause_s = time.monotonic() + patience_s, FIRST_PAUSE_S
    while not mark.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_PAUSE_S)
        for folder in reversed(mark.parents):
            with contextlib.suppress(OSError):  # Opening a folder makes NFS ask the server what is in it.
                os.close(os.open(folder, os.O_RDONLY))
    return True
