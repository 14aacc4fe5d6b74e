"""Memory that all ranks of a node share.

Rank 0 of the node makes a file in memory that has no name, and the others open it through /proc. It lives as long as
any rank maps it, so nothing is left behind, whichever process dies at whatever moment. Where some rank cannot open it
(a container around each rank, memory files refused) the file has a name in /dev/shm until all ranks have mapped it.

MPI windows offer the same, but a window cannot be freed once a rank has been lost.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import uuid
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.compute.anonymous import FOLDER, anonymous_file
from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.errors import SharedMemoryError


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
        folder: on a file system in memory, for files that must have a name.
    """

    def __init__(self, group: Group, folder: str = FOLDER) -> None:
        self._group = group
        self._folder = folder
        self._needs_name = False

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Vector:
        """See NodeMemory.zeros."""
        num_bytes = max(1, size * np.dtype(dtype).itemsize)  # No mapping is empty.
        mapped = None if self._needs_name else self._map_anonymous(num_bytes)
        if mapped is None:
            self._needs_name = True
            mapped = self._map_named(num_bytes)
        return np.frombuffer(mapped, dtype=dtype, count=size)

    def _map_anonymous(self, num_bytes: int) -> mmap.mmap | None:
        """Map a file without a name; None, on every rank: some rank cannot."""
        place = _Place.of_new_file(num_bytes) if self._group.rank == 0 else None
        try:
            found = self._group.broadcast(place)
            mapped = None if found is None else found.map(num_bytes)
            mapped_everywhere = all(self._group.allgather(mapped is not None))
        finally:
            if place is not None:
                os.close(place.descriptor)
        return mapped if mapped_everywhere else None

    def _map_named(self, num_bytes: int) -> mmap.mmap:
        # The name is known to all before the file exists: whoever is left removes it.
        path = self._group.broadcast(os.path.join(self._folder, f"dpnet-{uuid.uuid4().hex}"))
        try:
            on_root(self._group, lambda: self._create(path, num_bytes))
            return everywhere(self._group, lambda: _map(path, num_bytes))
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _create(self, path: str, num_bytes: int) -> None:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise SharedMemoryError(f"cannot make a file in {self._folder}: {error.strerror}") from error
        try:
            os.posix_fallocate(handle, 0, num_bytes)
        except OSError as error:
            why = error.strerror
            if error.errno == errno.ENOSPC:
                why = f"{_free_bytes(self._folder) / 2**20:,.0f} MiB are free, {num_bytes / 2**20:,.1f} are needed"
            raise SharedMemoryError(f"no room in {self._folder}: {why}") from error
        finally:
            os.close(handle)


@dataclass(frozen=True)
class _Place:
    """Where the other ranks of a node find a file without a name: a descriptor of a process.

    To a rank that sees other processes (in a container of its own) the same numbers mean another file, or none. So the
    file's identity is part of its place.
    """

    process: int
    descriptor: int
    identity: tuple[int, int]

    @classmethod
    def of_new_file(cls, num_bytes: int) -> _Place | None:
        """A new file of this process, of zeros; None if it cannot be made."""
        try:
            descriptor = anonymous_file(num_bytes)
        except OSError:
            return None
        return cls(os.getpid(), descriptor, _identity(os.fstat(descriptor)))

    def map(self, num_bytes: int) -> mmap.mmap | None:
        """The mapped file; None if this process cannot open it."""
        path = f"/proc/{self.process}/fd/{self.descriptor}"
        try:
            if _identity(os.stat(path)) != self.identity:
                return None
            with open(path, "r+b") as file:
                return mmap.mmap(file.fileno(), num_bytes)
        except OSError:
            return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


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
