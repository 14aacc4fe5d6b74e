"""What an mpirun leaves on this host's disk and in its shared memory, kept in one place and cleared away.

Open MPI keeps a folder /tmp/ompi.PID while it runs. A killed mpirun leaves it, and a later mpirun that happens to get
the same number as its PID fails. So each job gets a temporary folder of its own. The lock on a file in it tells whether
its owner lives: unlike a PID it holds between containers, and between hosts that share their /tmp. Killed ranks leave
segments of shared memory, which are large; nobody needs one that no process has mapped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLES = ("PRTE_MCA_prte_local_tmpdir_base", "OMPI_MCA_orte_local_tmpdir_base")
"""Where Open MPI 5 and 4 put their folders on the host of mpirun."""
OWNER, UNFINISHED = "owner", ".new"
MOST_CHARACTERS = 40
"""Of the folder above: the sockets that Open MPI makes further down may have names of 107 bytes."""
SHARED_MEMORY = Path("/dev/shm")
SEGMENTS = ("sm_segment.*", "mpich_shm_*")
"""Shared memory of ranks of Open MPI and of MPICH. Both map a segment when they make it."""
SEGMENT_AGE_S = 60.0
ABANDONED_S = 3600.0


@contextlib.contextmanager
def session() -> Iterator[None]:
    """Give every mpirun that is started meanwhile a temporary folder of its own, and remove it afterwards.

    What killed jobs of this user have left on this host is removed first. Where the user says by a variable where Open
    MPI's folders go, or no folder can be made, mpirun does as it would.
    """
    above = _above()
    with contextlib.suppress(OSError):
        clear(above)
        clear_segments(SHARED_MEMORY)
    names = [name for name in VARIABLES if name not in os.environ]
    made = None
    with contextlib.suppress(OSError):
        made = _make(above)
    if made is None:
        yield
        return
    folder, lock = made
    os.environ.update(dict.fromkeys(names, str(folder)))
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _above() -> Path:
    path = tempfile.gettempdir()
    return Path(path if len(os.fsencode(path)) <= MOST_CHARACTERS else "/tmp")


def _make(above: Path) -> tuple[Path, int]:
    """A new folder, which gets its name when it is locked; returns it with the descriptor of its lock."""
    new = tempfile.mkdtemp(prefix=f"dpnet-{os.geteuid()}-", suffix=UNFINISHED, dir=above)
    lock = os.open(os.path.join(new, OWNER), os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):  # A file system without locks: `clear` will take it for locked.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(lock, socket.gethostname().encode())
    folder = new.removesuffix(UNFINISHED)
    os.rename(new, folder)
    return Path(folder), lock


def clear(above: Path) -> None:
    """Remove the folders of this user's sessions on this host whose owner has ended without doing so."""
    for folder in above.glob(f"dpnet-{os.geteuid()}-*"):
        with contextlib.suppress(OSError):  # Somebody else has removed it, or it is not ours.
            status = folder.lstat()
            if status.st_uid != os.geteuid():
                continue
            if folder.name.endswith(UNFINISHED):
                is_left = time.time() - status.st_mtime > ABANDONED_S
            else:
                is_left = _is_left(folder / OWNER)
            if is_left:
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(owner: Path) -> bool:
    descriptor = os.open(owner, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if os.read(descriptor, 256) != socket.gethostname().encode():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # Locked, or the file system has no locks.
    finally:
        os.close(descriptor)
    return True


def clear_segments(folder: Path) -> None:
    """Remove the segments of MPI that killed ranks of this user have left: no process has mapped them."""
    old = time.time() - SEGMENT_AGE_S
    found = []
    for path in (path for pattern in SEGMENTS for path in folder.glob(pattern)):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if status.st_uid == os.geteuid() and status.st_mtime < old:
                found.append(path)
    if found:
        mapped = in_use(folder)
        for path in found:
            if str(path) not in mapped:
                path.unlink(missing_ok=True)


def in_use(folder: Path) -> set[str]:
    """The files of a folder that processes on this host have mapped, as far as /proc shows them."""
    mapped: set[str] = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{entry}/maps").read_text(errors="replace").splitlines()
            mapped.update(line.split(maxsplit=5)[-1] for line in lines if str(folder) in line)
    return mapped
