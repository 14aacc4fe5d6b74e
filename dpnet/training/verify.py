"""Whether inputs are what was converted: for who applies a network to them, and does not measure them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from dpnet.comm.agree import everywhere
from dpnet.comm.group import Group
from dpnet.compute.shares import share
from dpnet.data.identity import ChunkHasher, check_chunk
from dpnet.data.split import Split
from dpnet.data.statistics import chunks


def verify_inputs(split: Split, group: Group, done: Callable[[int], object] = lambda num_bytes: None) -> None:
    """Compare inputs with what their conversion recorded, if one did; collective, each rank reads a share.

    Where the samples are some of the rows, all rows are compared.

    Args:
        split: the samples.
        group: all ranks.
        done: is called with the number of bytes of each chunk that this rank has read.

    Raises:
        DataError: they are not the same.
    """

    def work() -> None:
        whole = dataclasses.replace(split, labels=None, names=None, weights=None, rows=None)
        every = chunks(len(whole))
        for number in range(*share(len(every), group.rank, group.world_size)):
            hasher = ChunkHasher(whole, every[number])
            hasher.read()
            check_chunk(whole, number, hasher.of_inputs().hex())
            done((every[number][1] - every[number][0]) * split.features * split.inputs.itemsize)

    if split.input_sums is not None:
        everywhere(group, work)
