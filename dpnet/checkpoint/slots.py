"""Slots: room in memory for two copies of a checkpoint, filled by the training and read by the writer process.

The memory is an anonymous file whose descriptor the writer inherits. For each copy the writer is sent a list of entries
for each file of the checkpoint: where every tensor lies, and what it is.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dpnet.checkpoint.format import FILES, Checkpoint, Tensors
from dpnet.compute.arrays import CACHE_LINE_BYTES
from dpnet.compute.shares import round_up

Entries = dict[str, list[Any]]
"""For each file: [name, byte in the memory, dtype, shape, whether it lies there transposed] of every tensor."""


class Slots:
    """The two slots, as the training sees them.

    Args:
        content: a checkpoint; every checkpoint that is copied has tensors of the same sizes.

    Attributes:
        descriptor: of the memory, for the writer to inherit.
    """

    def __init__(self, content: Checkpoint) -> None:
        arrays = [array for name in FILES for array in getattr(content, name).values()]
        self._slot_bytes = sum(round_up(array.nbytes, CACHE_LINE_BYTES) for array in arrays)
        self.descriptor = os.memfd_create("dpnet-checkpoint")
        os.ftruncate(self.descriptor, max(1, 2 * self._slot_bytes))
        self._memory = mmap.mmap(self.descriptor, max(1, 2 * self._slot_bytes))

    def copy(self, content: Checkpoint, slot: int) -> Entries:
        """Copy all tensors into a slot; returns where they lie."""
        place = slot * self._slot_bytes
        files: Entries = {}
        for name in FILES:
            entries = files[name] = []
            for key, array in getattr(content, name).items():
                # Copy the tensor as it lies in memory: the writer transposes it.
                transposed = not array.flags.c_contiguous
                source = array.T if transposed else array
                target = np.frombuffer(self._memory, source.dtype, source.size, place).reshape(source.shape)
                np.copyto(target, source)
                entries.append([key, place, source.dtype.str, list(source.shape), transposed])
                place += round_up(source.nbytes, CACHE_LINE_BYTES)
        return files

    def close(self) -> None:
        """Close the memory; it is freed once the writer has ended as well."""
        os.close(self.descriptor)


def read_slot(files: Mapping[str, Sequence[Any]], memory: mmap.mmap) -> dict[str, Tensors]:
    """The tensors that `Slots.copy` left in the memory, by file, as views of it."""
    return {name: _tensors(entries, memory) for name, entries in files.items()}


def _tensors(entries: Sequence[Any], memory: mmap.mmap) -> Tensors:
    found = {}
    for key, place, dtype, shape, transposed in entries:
        array = np.frombuffer(memory, dtype, int(np.prod(shape)), place).reshape(shape)
        found[key] = array.T if transposed else array
    return found
