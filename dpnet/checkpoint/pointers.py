"""`latest` and `best`: links to checkpoints of the same folder, or what stands for them.

Where a file system has no symbolic links, each is a small file that holds the name. Where a run directory was copied by
a program that follows links, as `scp -r` does, each is a copy of its checkpoint.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from dpnet.checkpoint.format import STEP_NAME, step_name
from dpnet.checkpoint.manifest import read_manifest
from dpnet.errors import CheckpointError
from dpnet.files import read_file, unfinished, write_synced

LATEST, BEST = "latest", "best"
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""How file systems say that they have no symbolic links."""
POINTER_BYTES = 64
"""Most bytes of a small file that stands for a link."""


def pointed(path: Path) -> Path:
    """The directory that `latest` or `best` stands for, if it is a small file or a copy; else the path itself."""
    if (step := _copied_step(path)) is not None:
        original = path.with_name(step_name(step))
        return original if original.exists() else path
    try:
        name = read_file(path, POINTER_BYTES).decode("ascii").strip()
    except (OSError, ValueError):
        return path
    return path.with_name(name) if STEP_NAME.fullmatch(name) else path


def point(path: Path, step: int) -> None:
    """Let `latest` or `best` stand for the checkpoint of a step.

    Raises:
        OSError: it cannot be written.
    """
    temporary = unfinished(path)
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(step_name(step))
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        write_synced(temporary, f"{step_name(step)}\n".encode())
    os.replace(temporary, path)


def replace_copy(path: Path) -> None:
    """If `latest` or `best` is a copy of a checkpoint, let it stand for that one again.

    Raises:
        OSError: it cannot be replaced.
    """
    if (step := _copied_step(path)) is None:
        return
    original = path.with_name(step_name(step))
    if original.exists():
        # Rename first: whoever is killed in between leaves a temporary name, not half a checkpoint.
        doomed = unfinished(path.with_name("deleted-" + path.name))
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
        shutil.rmtree(doomed)
    else:
        path.rename(original)  # It is no copy any more, but all that there is.
    point(path, step)


def _copied_step(path: Path) -> int | None:
    """Step of the checkpoint, which may be gone, that `latest` or `best` is a copy of; None: it is no copy."""
    if path.name in (LATEST, BEST) and path.is_dir() and not path.is_symlink():
        with contextlib.suppress(CheckpointError):
            return int(read_manifest(path / "manifest.json")["step"])
    return None
