"""Memory that all ranks of a node share.

It is a file in /dev/shm, which is memory, mapped by every rank. Rank 0 of the node creates the file and allocates all
its pages at once: a mapping larger than what is left in /dev/shm would kill a rank by SIGBUS later, without a message.
As soon as all ranks have mapped the file its name is removed. The memory lives as long as any rank that maps it, so
nothing is left behind, whichever process dies.

MPI windows offer the same, but a window cannot be freed once a rank has been lost.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import tempfile
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.errors import SharedMemoryError

FOLDER = "/dev/shm"


class NodeMemory(Protocol):
    """Allocates vectors that every rank of a node reads and writes."""

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Vector:
        """A vector of zeros; collective, with the same arguments on every rank.

        Raises:
            SharedMemoryError: there is no room for the vector, or some rank cannot map it; on every rank.
        """
        ...


class PrivateMemory:
    """Memory of one rank, shared with no other."""

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Vector:
        """See NodeMemory.zeros."""
        return aligned_zeros(size, dtype)


class SharedMemory:
    """Memory that several ranks share.

    Args:
        group: the ranks, all on one node.
        folder: on a file system in memory.
    """

    def __init__(self, group: Group, folder: str = FOLDER) -> None:
        self._group = group
        self._folder = folder

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Vector:
        """See NodeMemory.zeros."""
        num_bytes = max(1, size * np.dtype(dtype).itemsize)  # No mapping is empty.
        path = on_root(self._group, lambda: self._create(num_bytes))
        try:
            mapped = everywhere(self._group, lambda: _map(path, num_bytes))
        finally:
            if self._group.rank == 0:
                with contextlib.suppress(OSError):
                    os.unlink(path)
        return np.frombuffer(mapped, dtype=dtype, count=size)

    def _create(self, num_bytes: int) -> str:
        try:
            handle, path = tempfile.mkstemp(prefix="dpnet-", dir=self._folder)
        except OSError as error:
            raise SharedMemoryError(f"cannot make a file in {self._folder}: {error.strerror}") from error
        try:
            os.posix_fallocate(handle, 0, num_bytes)
        except OSError as error:
            os.unlink(path)
            why = error.strerror
            if error.errno == errno.ENOSPC:
                why = f"{_free_bytes(self._folder) / 2**20:,.0f} MiB are free, {num_bytes / 2**20:,.1f} are needed"
            raise SharedMemoryError(f"no room in {self._folder}: {why}") from error
        finally:
            os.close(handle)
        return path


def node_memory(node: Group) -> NodeMemory:
    """Memory that all ranks of a node share."""
    return SharedMemory(node) if node.world_size > 1 else PrivateMemory()


def _map(path: str, num_bytes: int) -> mmap.mmap:
    try:
        with open(path, "r+b") as file:
            return mmap.mmap(file.fileno(), num_bytes)
    except OSError as error:
        raise SharedMemoryError(f"cannot map {path}: {error.strerror}") from error


def _free_bytes(folder: str) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
