"""What one rank of each node does for all of its ranks, such as reading data, and what came of it in their memory once.

The first rank of a node does the work, and packs its result: a pickle, and beside it the bytes of all arrays. Both are
copied to the memory of the node, where every rank, the first one too, unpacks them: arrays are views of that memory.
It lives as long as any of them is used, whichever rank is lost. An array in a mapped file is no copy: each rank maps
the file, as its pages are shared already.

The packed result never leaves the node, and comes from a process of the same program.
"""

from __future__ import annotations

import io
import itertools
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.comm.node_memory import SharedMemory
from dpnet.compute.arrays import CACHE_LINE_BYTES
from dpnet.compute.shares import ceil_div
from dpnet.errors import DataError, DpnetError, SharedMemoryError

T = TypeVar("T")


def once_per_node(
    group: Group, work: Callable[[], T], *, reads: Sequence[object] = (), shares_memory: bool = True
) -> T:
    """Run `work` on the first rank of each node; return its result on every rank, arrays in memory that they share.

    Where a node has no room for that, where the result cannot be packed, and where ranks of a node see other files
    under the same paths (from other working directories, say), every rank runs `work` itself. Arrays in shared memory
    are read-only.

    Args:
        group: all ranks.
        work: gives the same on every rank of a node that sees the same files.
        reads: what it reads; of these the paths are compared.
        shares_memory: whether ranks of a node share memory. If not, every rank runs `work`.

    Raises:
        DpnetError: `work` raised this error, on some node; see `everywhere`.
    """
    node = group.node
    if node.world_size == 1 or not shares_memory:
        return everywhere(group, work)
    files = node.allgather([_file(path) for path in reads if isinstance(path, str)])
    if any(seen != files[0] for seen in files):
        return everywhere(group, work)
    mine = _Outcome[T]()
    if node.rank == 0:
        mine.run(work)
    error, sizes = node.broadcast((mine.error, mine.sizes))
    places = _places(sizes or ())
    memory = None if sizes is None else _memory(node, places[-1].stop)
    if memory is None:
        return everywhere(group, lambda: mine.result(error, work))
    if node.rank == 0:
        mine.write(memory, places)
    node.barrier()
    memory.flags.writeable = False
    result: T = everywhere(group, lambda: _unpacked(memory, places))
    return result


def _file(path: str) -> tuple[int, int] | None:
    """The file system and the number of a file; None: there is none."""
    try:
        status = os.stat(os.path.expanduser(path))
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


class _Outcome(Generic[T]):
    """What came of the work on the first rank of a node.

    Attributes:
        error: that it raised.
        sizes: bytes of the pickle and of each array; None: nothing is packed.
    """

    def __init__(self) -> None:
        self.error: DpnetError | None = None
        self.sizes: list[int] | None = None
        self._done: list[T] = []
        self._parts: list[memoryview] = []

    def run(self, work: Callable[[], T]) -> None:
        """Do the work, and pack its result."""
        try:
            result = work()
        except DpnetError as error:
            self.error = error
            return
        self._done = [result]
        try:
            self._parts = _packed(result)
        except (pickle.PicklingError, TypeError, AttributeError):  # What a function holds may be anything.
            return
        self.sizes = [len(part) for part in self._parts]

    def result(self, error: DpnetError | None, work: Callable[[], T]) -> T:
        """The result on this rank, where it is not packed; raises `error`, of the first rank."""
        if error is not None:
            raise error
        return self._done[0] if self._done else work()

    def write(self, memory: npt.NDArray[np.uint8], places: list[slice]) -> None:
        """Copy what is packed to `memory`, and forget it."""
        for part, place in zip(self._parts, places, strict=True):
            memory[place] = part
        self._parts, self._done = [], []


def _places(sizes: Sequence[int]) -> list[slice]:
    """Where parts of so many bytes lie: one after the other, each from the beginning of a cache line on."""
    lines = [ceil_div(size, CACHE_LINE_BYTES) for size in sizes]
    starts = [CACHE_LINE_BYTES * line for line in itertools.accumulate(lines, initial=0)]
    return [slice(start, start + size) for start, size in zip(starts, sizes, strict=False)]


def _memory(node: Group, num_bytes: int) -> npt.NDArray[np.uint8] | None:
    try:
        return SharedMemory(node).zeros(num_bytes, np.uint8)  # type: ignore[return-value]
    except SharedMemoryError:
        return None


def _packed(result: object) -> list[memoryview]:
    """A pickle, and the bytes of the arrays beside it."""
    stream, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    _Packer(stream, protocol=5, buffer_callback=buffers.append).dump(result)
    return [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]


def _unpacked(memory: npt.NDArray[np.uint8], places: list[slice]) -> Any:
    pickled, *arrays = (memory[place].data for place in places)
    return pickle.loads(pickled, buffers=arrays)


class _Packer(pickle.Pickler):
    """Packs an array in a mapped file as its place there."""

    def reducer_override(self, value: object) -> Any:
        """See pickle.Pickler."""
        place = _Place.of(value) if isinstance(value, np.ndarray) else None
        return NotImplemented if place is None else (_Place.map, (place,))


@dataclass(frozen=True)
class _Place:
    """Where an array lies in a file.

    Attributes:
        file: its path.
        offset: of the first number, in bytes.
        shape: of the array, in C order.
        dtype: of the array.
        plain: whether it is a view of a map, and not one itself.
    """

    file: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    plain: bool

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> _Place | None:
        """The place of an array; None: it lies in no mapped file, or not in one piece."""
        root: Any = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        if not isinstance(root, np.memmap) or root.mode != "r" or not array.flags.c_contiguous or not array.size:
            return None
        offset = root.offset + array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        return cls(str(root.filename), offset, array.shape, array.dtype, not isinstance(array, np.memmap))

    def map(self) -> npt.NDArray[Any]:
        """The array.

        Raises:
            DataError: the file cannot be mapped any more.
        """
        try:
            array = np.memmap(self.file, self.dtype, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.file} cannot be mapped: {error}; it was there a moment ago.") from error
        return array.view(np.ndarray) if self.plain else array
