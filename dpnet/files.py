"""Files that are whole or absent, whatever happens, and one message for everything that cannot be written or found.

A file is written under an unfinished name, synced to the disk, and renamed: a rename happens or does not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dpnet.errors import OutputError

UNFINISHED = ".unfinished-"
"""Prefix of the names of unfinished files and directories."""
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""How file systems say that they cannot sync this: some network and FUSE file systems no directories."""


def unfinished(path: Path) -> Path:
    """The name of a file or directory until it is whole, in the same directory."""
    return path.with_name(UNFINISHED + path.name)


def where_from(path: str) -> str:
    """A sentence on where a relative path begins, for the error that it leads to nothing; empty: it is not relative."""
    with contextlib.suppress(OSError):  # The current directory may have been deleted.
        if path and not os.path.isabs(path):
            here = f"A relative path begins in the current directory, {os.getcwd()}"
            return f"{here}: start dpnet in the directory that this one was meant for, or give the full path."
    return ""


def same_path(one: str, other: str) -> bool:
    """Whether two paths lead to the same place; ~ is the home folder."""
    with contextlib.suppress(ValueError):  # A zero byte.
        return os.path.realpath(os.path.expanduser(one)) == os.path.realpath(os.path.expanduser(other))
    return False


@contextlib.contextmanager
def writing(target: object, advice: str = "") -> Iterator[None]:
    """Turn an OSError of the block into an OutputError: "cannot write TARGET: REASON" and the advice.

    Args:
        target: what is written, as messages call it: usually a path.
        advice: what to do, as the end of the message.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}{advice}") from error


def write_atomically(path: Path, text: str, *, synced: bool = True) -> None:
    """Write a text file so that it holds either its old content or the new one, whatever happens.

    Args:
        path: of the file.
        text: its new content.
        synced: wait until the disk has it. A disk may take many seconds: no training may wait for that at its start.

    Raises:
        OSError: it cannot be written.
    """
    temporary = unfinished(path)
    if synced:
        write_synced(temporary, text.encode())
    else:
        temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    if synced:
        sync_path(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        sync(file.fileno())


def sync_path(path: Path) -> None:
    """Wait until the disk has the content of a file, whoever wrote it, or the names in a directory.

    Raises:
        OSError: it cannot be synced, or does not exist.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def sync(descriptor: int) -> None:
    """Wait until the disk has a file or directory, where its file system can tell.

    Raises:
        OSError: it cannot be synced.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def read_file(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger.
    """

    def opener(name: str, flags: int) -> int:
        # Without O_NONBLOCK, opening a named pipe waits for its writer.
        return os.open(name, flags | os.O_NONBLOCK)

    with open(path, "rb", opener=opener) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if state.st_size > limit:
            raise OSError(errno.EFBIG, f"it has {state.st_size} bytes; expected at most {limit}")
        return file.read()
