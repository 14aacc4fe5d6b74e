"""The plan: which samples each step uses.

The samples of step k follow from (seed, epoch, k) and `global_batch_size` alone, on any number of ranks. So there is no
epoch to announce, no padding, no dropped tail and no batch size per rank, and a job can go on with other ranks.

An epoch is a permutation of all samples, cut into batches. The last batch of an epoch is short where
`global_batch_size` does not divide the number of samples. A batch is cut into shards, and a shard is computed in one
piece by one rank. Only this cut may depend on ranks: there is a shard for each, unless `train.reproducible_shards` sets
another number, which then stays the same on any number of ranks.
"""

from __future__ import annotations

import numpy as np

from dpnet.compute.arrays import SampleIds
from dpnet.compute.random import SHUFFLE, random_bits
from dpnet.compute.shares import ceil_div, share


class Plan:
    """Sample ids of every step.

    Args:
        num_samples: number of training samples, at least 1.
        global_batch_size: samples in a step, summed over all ranks.
        seed: of the shuffles.
        num_shards: shards into which each batch is cut.
        reproducible: sums over shards keep their order on any number of ranks. False: there is a shard for each rank,
            and sums may follow the ranks.
        exchange_every: steps from one sum over all shards to the next.
    """

    def __init__(
        self,
        num_samples: int,
        global_batch_size: int,
        *,
        seed: int,
        num_shards: int,
        reproducible: bool = True,
        exchange_every: int = 1,
    ) -> None:
        assert min(num_samples, global_batch_size, num_shards, exchange_every) > 0
        self.num_samples = num_samples
        self.global_batch_size = min(global_batch_size, num_samples)
        self.num_shards, self.reproducible, self.exchange_every = num_shards, reproducible, exchange_every
        self.seed = seed
        self.steps_per_epoch = ceil_div(num_samples, self.global_batch_size)
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def max_rows(self, num_shards: int = 1) -> int:
        """Most samples that `num_shards` adjacent shards have in any step."""
        return ceil_div(self.global_batch_size * num_shards, self.num_shards)

    def epoch(self, step: int) -> int:
        """The epoch, from 0, to which step `step`, from 0, belongs."""
        return step // self.steps_per_epoch

    def batch_size(self, step: int) -> int:
        """Number of samples of step `step`."""
        first = step % self.steps_per_epoch * self.global_batch_size
        return min(self.global_batch_size, self.num_samples - first)

    def batch(self, step: int) -> SampleIds:
        """Sample ids of step `step` (from 0): (global_batch_size,) int64, fewer in the last step of an epoch."""
        first = step % self.steps_per_epoch * self.global_batch_size
        return self._permutation(self.epoch(step))[first : first + self.global_batch_size]

    def shard_start(self, num_samples: int, shard: int) -> int:
        """Where shard `shard` starts in a batch of `num_samples`; with shard = num_shards, where the last one ends."""
        return share(num_samples, shard, self.num_shards)[0]

    def shares(self, world_size: int) -> list[range]:
        """The shards of every rank: adjacent, and as even as can be."""
        return [range(*share(self.num_shards, rank, world_size)) for rank in range(world_size)]

    def shard(self, step: int, shard: int) -> SampleIds:
        """The sample ids of shard `shard` of step `step`; there may be none."""
        epoch, number = divmod(step, self.steps_per_epoch)
        first = number * self.global_batch_size
        start, stop = share(min(self.global_batch_size, self.num_samples - first), shard, self.num_shards)
        return self._permutation(epoch)[first + start : first + stop]

    def samples_before(self, step: int) -> int:
        """Number of samples that all the steps before step `step` use."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        return epochs * self.num_samples + steps * self.global_batch_size

    def _permutation(self, epoch: int) -> SampleIds:
        if epoch != self._epoch:
            # Random words with the id of a sample in their low bits, sorted: ten times faster than an argsort.
            bits = np.uint64(self.num_samples.bit_length())
            words = random_bits(self.num_samples, seed=self.seed, purpose=SHUFFLE, index=epoch)
            # In place: of very many samples this is most of what a rank's own memory holds.
            self._order = np.empty(0, dtype=np.int64)
            words >>= bits
            words <<= bits
            words |= np.arange(self.num_samples, dtype=np.uint64)
            words.sort()
            words &= (np.uint64(1) << bits) - np.uint64(1)
            self._order = words.view(np.int64)
            self._epoch = epoch
        return self._order
