"""Weights of samples: how much each counts in the loss of a step, and in every mean.

    loss of a step   sum_n w_n L_n / sum_n w_n      over the samples n of the global batch

The divisor is the weight of the whole batch, on whatever rank its samples are. It follows from the plan alone, so every
rank computes it for itself, to the same bits on any number of ranks: nothing has to be sent before the backward pass.
"""

from __future__ import annotations

import numpy as np

from dpnet.compute.arrays import Vector
from dpnet.parallel.plan import Plan


def total(rows: int, weights: Vector | None) -> float:
    """The weight of so many rows together; without weights, their number."""
    return float(rows if weights is None else weights.sum())


class BatchWeights:
    """The weights of the samples of every step.

    Args:
        weights: (samples,) float64, each finite and at least 0; None: every sample counts as 1.
        plan: which samples each step uses.
    """

    def __init__(self, weights: Vector | None, plan: Plan) -> None:
        self._weights, self._plan = weights, plan

    def scale(self, step: int) -> float:
        """1 / the sum of the weights of all samples of a step, the same on every rank; 0 if they weigh nothing."""
        if self._weights is None:
            return 1.0 / self._plan.batch_size(step)
        whole = float(np.add.reduce(self._weights[self._plan.batch(step)]))
        return 1.0 / whole if whole else 0.0

    def of_shard(self, step: int, shard: int) -> Vector | None:
        """The weights of the samples of a shard, in order; None: every sample counts as 1."""
        return None if self._weights is None else self._weights[self._plan.shard(step, shard)]
