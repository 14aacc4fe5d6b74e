"""Evaluation, spread over all ranks, exact.

The samples are cut into blocks that do not depend on the number of ranks. Every block is computed in one piece by one
rank, and the sums over blocks are exact, so the scores have the same bits for every world_size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dpnet.comm.group import Group
from dpnet.compute.arrays import Matrix, SampleIds, Targets
from dpnet.compute.shares import ceil_div, share
from dpnet.nn.layout import Views
from dpnet.parallel.replica import Replica
from dpnet.parallel.scores import Scores
from dpnet.whereabouts import HERE


class Blocks:
    """The fixed blocks of `size` samples, and which of them this rank computes.

    Args:
        group: all ranks.
        num_samples: in all blocks.
        size: of a block; the last is smaller.
    """

    def __init__(self, group: Group, num_samples: int, size: int) -> None:
        self.num = ceil_div(num_samples, size)
        self._num_samples, self._size = num_samples, size
        shares = [share(self.num, rank, group.world_size) for rank in range(group.world_size)]
        self.counts = [stop - start for start, stop in shares]
        self._mine = range(*shares[group.rank])

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Number and sample ids of each block of this rank."""
        for block in self._mine:
            yield block, np.arange(block * self._size, min((block + 1) * self._size, self._num_samples))


class Evaluator:
    """Computes scores on a data set: of the samples whose label is one of the classes.

    Args:
        group: all ranks.
        replica: of the network, over samples with labels, for at least `batch_size` of them at a time.
        batch_size: samples in a block.

    Attributes:
        samples: number of samples that are scored.
        scorer: makes the scores of their sums.
    """

    def __init__(self, group: Group, replica: Replica, *, batch_size: int) -> None:
        self._group = group
        self._data, self._network, self.scorer = replica.dataset, replica.network, replica.scorer
        self._known = self._data.known
        self.samples = len(self._data) if self._known is None else len(self._known)
        self._blocks = Blocks(group, self.samples, batch_size)
        self._sums = np.zeros((self._blocks.num, self.scorer.num_sums))

    def __call__(self, params: Views) -> Scores:
        """The scores with parameters `params`, the same on every rank; collective."""
        return self.scorer.scores(self.sums(params), self.samples)

    def sums(self, params: Views) -> Sequence[float]:
        """The sums of the scorer for all samples: exact sums over blocks, the same on every rank; collective."""
        for block, places in self._blocks:
            ids = places if self._known is None else self._known[places]
            self._sums[block] = self.score(ids, params)
            HERE.beat()
        counts = [count * self.scorer.num_sums for count in self._blocks.counts]
        self._group.allgather_into(self._sums.reshape(-1), counts)
        return [*map(_exact_sum, self._sums.T.tolist())]

    def score(self, ids: SampleIds, params: Views) -> Sequence[float]:
        """The sums of some samples that this rank computes."""
        x, targets = self._data.gather(ids)
        return self.score_outputs(ids, self._network.forward(x, params), targets)

    def score_outputs(self, ids: SampleIds, outputs: Matrix, targets: Targets) -> Sequence[float]:
        """As `score`, from the outputs, which are overwritten."""
        weights = None if self._data.weights is None else self._data.weights[ids]
        return self.scorer.sums(outputs, targets, weights)


def _exact_sum(of_blocks: Sequence[float]) -> float:
    """The sum, rounded once, at the end; infinite where it is beyond float64, NaN where blocks are inf and -inf."""
    try:
        return math.fsum(of_blocks)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan
