"""The folder of a conversion before anything is read: whether it is free, or holds the same conversion already."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dpnet.comm.agree import on_root
from dpnet.comm.group import World
from dpnet.data.converted.manifest import MANIFEST, Manifest
from dpnet.data.converted.spool import remove_spool
from dpnet.data.converted.start import check_same
from dpnet.data.converted.unfinished import check_free, remove_unfinished
from dpnet.errors import DpnetError, OutputError
from dpnet.files import writing
from dpnet.output.lock import Lock, owner


class Claimed(NamedTuple):
    """A folder that this conversion has.

    Attributes:
        folder: the folder.
        is_new: it was not there.
        is_whole: it holds the whole conversion already.
    """

    folder: Path
    is_new: bool
    is_whole: bool


def claim(folder: Path, outline: Manifest, lock: Lock) -> Claimed:
    """Take a folder for a conversion, on one rank.

    Args:
        folder: the folder.
        outline: what is converted, and how, as far as that is known before the source is read.
        lock: of the folder.

    Raises:
        DataError: it holds something else, or another conversion.
        OutputError: it cannot be written, or another process converts into it.
    """
    with writing(folder):
        check_free(folder)
        is_new, is_whole = not folder.exists(), (folder / MANIFEST).exists()
    check_same(folder, outline)
    if not is_whole and not lock.take(wait_s=0):
        process = owner(folder).process or "another process"
        raise OutputError(f"cannot write {folder}: a conversion into it is under way ({process})")
    if is_whole:
        with contextlib.suppress(OSError):  # It may lie where nobody writes.
            remove_unfinished(folder)
    lock.sign("")
    return Claimed(folder, is_new, is_whole)


@contextlib.contextmanager
def removing(claimed: Claimed, group: World, *errors: type[DpnetError]) -> Iterator[None]:
    """Remove a folder that was not there before, else what was read, if one of these errors comes on all ranks.

    Args:
        claimed: the folder.
        group: all ranks.
        errors: kinds of errors after which nothing of it is of use.
    """
    try:
        yield
    except errors as error:
        if error.agreed:
            on_root(group, lambda: _remove(claimed))
        raise


def _remove(claimed: Claimed) -> None:
    if claimed.is_new:
        shutil.rmtree(claimed.folder, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            remove_spool(claimed.folder)
