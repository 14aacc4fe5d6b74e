"""The lock of a run directory: a file that says which process has the directory, and for which job.

    process 4711 on node-1
    job 3f5a...             what the process works on: a later start of this job finds its directory by it
    attempt 90ab...         of `dpnet launch`, which finds the directory of its training by it

The lock itself is that of the file system (flock). It ends with the last process that holds it, however that ends. A
file system may have no locks; then the content of the file is all there is, and only who makes the file knows that
nobody else does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import NamedTuple

from dpnet.environment import ATTEMPT
from dpnet.errors import OutputError
from dpnet.files import read_file

LOCK = ".lock"
MOST_BYTES = 4096
POLL_S = 0.05


class Owner(NamedTuple):
    """What a lock file says of the process that wrote it; each may be empty."""

    process: str = ""
    job: str = ""
    attempt: str = ""


class Lock:
    """The lock of a directory.

    Args:
        folder: the directory; it is made when the lock is taken.

    Attributes:
        descriptor: of the file, while this process has the lock. A process that inherits it holds the lock as well.
        is_sure: whether nobody else can have the directory, once the lock is taken.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self.descriptor: int | None = None
        self.is_sure = False

    def take(self, *, wait_s: float) -> bool:
        """Take the lock; returns whether this process has it, or cannot write in the directory anyway.

        Args:
            wait_s: seconds to wait for another process that has it and may be about to end.

        Raises:
            OutputError: the name is too long for the file system.
        """
        if self.descriptor is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, is_new = _open(self._path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # Whoever reads here next would say so less clearly.
                message = f"cannot write in {self._path.parent}: {error.strerror}; choose another with --output DIR"
                raise OutputError(message) from error
            return True  # Whoever writes here next says why that is impossible.
        locked = _lock(descriptor, wait_s)
        if locked is False:
            os.close(descriptor)
            return False
        self.descriptor, self.is_sure = descriptor, locked or is_new
        return True

    def sign(self, job: str) -> None:
        """Write into the file who has the lock, and for which job."""
        owner = Owner(f"{os.getpid()} on {socket.gethostname()}", job, os.environ.get(ATTEMPT, ""))
        text = "".join(f"{name} {value}\n" for name, value in owner._asdict().items() if value)
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                os.truncate(self.descriptor, 0)
                os.pwrite(self.descriptor, text.encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def owner(folder: Path) -> Owner:
    """What the lock file of a directory says of the process that has, or had, the directory."""
    try:
        text = read_file(folder / LOCK, MOST_BYTES).decode(errors="replace")
    except OSError:
        return Owner()
    words = dict(line.partition(" ")[::2] for line in text.splitlines())
    return Owner(**{name: words.get(name, "") for name in Owner._fields})


def _open(path: Path) -> tuple[int, bool]:
    """The descriptor of a file, and whether this process has made the file."""
    with contextlib.suppress(FileExistsError):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666), False


def _lock(descriptor: int, wait_s: float) -> bool | None:
    """Whether the lock was taken in time; None: the file system has no locks."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return None
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
