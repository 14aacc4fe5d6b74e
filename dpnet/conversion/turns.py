"""Which rank converts which chunk, and when.

    a round         turn 0     turn 1     turn 2
      rank 0        chunk 0    chunk 1    chunk 2
      rank 1        chunk 3    chunk 4    chunk 5

What a file stores together, as HDF5 does, may be larger than a chunk of the conversion. A rank that takes adjacent
chunks unpacks it once, and the other ranks do not unpack it at all. Moments are put together in the order of the
chunks, so those of a round are kept until it is over; a round has so many chunks that this takes little memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from dpnet.compute.shares import ceil_div
from dpnet.data.in_parts import InParts
from dpnet.data.split import Split
from dpnet.data.statistics import NUM_CHUNKS

KEPT_BYTES = 1 << 26
"""Most bytes that the moments of a round take on a rank, if it has more than a chunk for each rank."""
VECTORS = 5
"""Numbers of 8 bytes that moments and extremes have of each feature."""


def adjacent(split: Split, world_size: int) -> int:
    """How many adjacent chunks of a split a rank converts in a round."""
    if not isinstance(split.inputs, InParts) or split.inputs.forward:
        # Mapped rows are read by themselves. What is unpacked from the begin is done so by all ranks, side by side.
        return 1
    most = KEPT_BYTES // (8 * VECTORS * split.features * world_size)
    return max(1, min(most, ceil_div(min(NUM_CHUNKS, len(split)), world_size)))


def rounds(count: int, world_size: int, run: int) -> Iterator[list[list[int | None]]]:
    """The rounds of a conversion: in each some turns, and in each turn the number of a chunk for every rank.

    Args:
        count: number of all chunks.
        world_size: number of ranks.
        run: adjacent chunks that a rank takes in a round.

    Yields:
        turns; None in the place of a rank that has nothing to do.
    """
    for first in range(0, count, run * world_size):
        starts = range(first, first + run * world_size, run)
        yield [[start + turn if start + turn < count else None for start in starts] for turn in range(run)]
