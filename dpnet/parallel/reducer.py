"""What the trainer needs of a reducer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dpnet.compute.arrays import Vector
from dpnet.compute.loops.pending_sums import Tile


class Reducer(Protocol):
    """Sums the gradients of all ranks.

    Attributes:
        shards: the shards of a batch that this rank computes, in order.
        grad: the sum, as far as this rank owns it on its node; to be had from `reduce` to the next commit.
    """

    shards: Sequence[int]
    grad: Sequence[Tile]

    def first_row(self, num_samples: int, shard: int) -> int:
        """In which row of the network's buffers the first sample of a shard belongs.

        Args:
            num_samples: of the batch.
            shard: of this rank.
        """

    @property
    def dbiases(self) -> list[Vector]:
        """Where the biases' gradients of the next shard belong."""

    def add(self, shard: int, words: Sequence[float]) -> None:
        """Take what the network has just propagated back, and the words of the shard; shards come in order."""

    def reduce(self, num_samples: int) -> list[float]:
        """Complete `grad`; collective, called once all shards of this rank were added.

        Args:
            num_samples: of the batch.

        Returns:
            the sums of the words of all shards, the same on every rank.
        """
