"""The workers of local SGD: each is a training of its own, on a part of every batch. See `local_sgd`.

A batch is cut into K parts, one for each worker, as it is cut into shards elsewhere; so worker w has the same stream of
samples on any number of ranks. A worker takes its steps with the `Trainer` of one rank alone: all that it needs is a
plan in which its part is the whole batch, and the right divisor.

    loss of a worker's step     sum_n w_n L_n / (W / K)      over its samples n; W: weight of the whole batch

The divisor is an even share of the whole batch, not the weight of the worker's own samples. So the mean of the workers'
gradients, at the same parameters, is the gradient of the whole batch: exactly, also where a batch is short, parts are
uneven or weights differ. A worker with fewer samples in a step takes a smaller one, and one without any has a gradient
of 0, on which its momentum and weight decay go on.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dpnet.compute.arrays import Matrix, SampleIds, Vector
from dpnet.nn.layout import Views
from dpnet.parallel.plan import Plan
from dpnet.parallel.step import Trainer
from dpnet.parallel.step_sums import Sums
from dpnet.parallel.weights import BatchWeights
from dpnet.state.banks import StateVectors

NO_SUMS = Sums(0, 0.0, 0.0, 0.0)
Explain = Callable[[Trainer, int], Sequence[str]]
"""Says where the numbers of a step, from 0, are not finite; called right after the step was left out."""


class WorkerPlan(Plan):
    """The plan of one worker: its part of every batch, as one shard.

    Args:
        whole: the plan of all workers, with a shard for each.
        worker: number of the worker, from 0.
    """

    def __init__(self, whole: Plan, worker: int) -> None:
        super().__init__(whole.num_samples, whole.max_rows(), seed=whole.seed, num_shards=1)
        self.steps_per_epoch = whole.steps_per_epoch
        self._whole, self._worker = whole, worker

    def batch_size(self, step: int) -> int:
        """See Plan.batch_size; there may be no sample."""
        return len(self.batch(step))

    def batch(self, step: int) -> SampleIds:
        """See Plan.batch."""
        return self._whole.shard(step, self._worker)

    def shard(self, step: int, shard: int) -> SampleIds:
        """See Plan.shard; it is the whole batch of the worker."""
        return self.batch(step)


class WorkerWeights(BatchWeights):
    """The weights of the samples of one worker.

    Args:
        weights: see BatchWeights.
        whole: the plan of all workers.
        worker: number of the worker, from 0.
    """

    def __init__(self, weights: Vector | None, whole: Plan, worker: int) -> None:
        super().__init__(weights, whole)
        self._workers, self._worker = whole.num_shards, worker

    def scale(self, step: int) -> float:
        """1 / the K-th part of the weight of the whole batch."""
        return self._workers * super().scale(step)

    def of_shard(self, step: int, shard: int) -> Vector | None:
        """See BatchWeights.of_shard."""
        return super().of_shard(step, self._worker)


class Worker:
    """A worker between two synchronisations.

    Args:
        number: from 0.
        trainer: takes its steps. Its state is the worker's alone.
        explain: see Explain.

    Attributes:
        names: of its optimizer vectors in a checkpoint.
        sums: of its steps since the last synchronisation.
        bad: where a number of the first of these that it left out was not finite; empty: all were finite.
    """

    def __init__(self, number: int, trainer: Trainer, explain: Explain) -> None:
        self.number, self._trainer, self._explain = number, trainer, explain
        self.names = worker_names(number, self.slots)
        self.sums, self.bad = NO_SUMS, ""

    @property
    def slots(self) -> Sequence[str]:
        """The names of its optimizer vectors, which those of all workers share."""
        return [*self._trainer.state.slots]

    @property
    def layers(self) -> Views:
        """Its parameters."""
        return self._trainer.state.layers

    @property
    def vectors(self) -> Mapping[str, Vector]:
        """Its optimizer vectors, by their names in a checkpoint."""
        return dict(zip(self.names, self._trainer.state.slots.values(), strict=True))

    def step(self, step: int, learning_rate_scale: float) -> None:
        """Take step `step`, or leave it out if a number in it is not finite. Asks no other rank."""
        sums = self._trainer.step(step, learning_rate_scale=learning_rate_scale)
        if sums.bad and not self.bad:
            texts = ", ".join(self._explain(self._trainer, step))
            self.bad = f"worker {self.number}, step {step + 1:,}: {texts}"
        self.sums = Sums(*map(operator.add, self.sums, sums))

    def load(self, vectors: StateVectors) -> None:
        """Go on from a checkpoint; without vectors of its own, with those it has."""
        names = zip(self.slots, self.names, strict=True)
        mine = {slot: vectors.slots[name] for slot, name in names if name in vectors.slots}
        self._trainer.load(StateVectors(vectors.params, mine, vectors.step))
        self.sums, self.bad = NO_SUMS, ""

    def begin(self, params: Vector) -> None:
        """Go on from these parameters, with its own optimizer vectors."""
        self._trainer.state.params[:] = params
        self.sums, self.bad = NO_SUMS, ""


def worker_names(worker: int, slots: Sequence[str]) -> list[str]:
    """The names in a checkpoint of the optimizer vectors of a worker."""
    return [f"worker{worker}.{slot}" for slot in slots]


class Walk:
    """A worker's term of the outer gradient: from where it is, back to where all began, as a K-th part.

    Args:
        start: parameters at the last synchronisation.
        end: those of the worker.
        num_workers: K.
    """

    def __init__(self, start: Views, end: Views, num_workers: int) -> None:
        self._start, self._end, self._share = start, end, 1.0 / num_workers

    def weight_gradients(self, dweights: Sequence[Matrix]) -> None:
        """Write the term of every weight: as a backward pass writes its gradients."""
        for (start, _), (end, _), target in zip(self._start, self._end, dweights, strict=True):
            self._write(start, end, target)

    def bias_gradients(self, dbiases: Sequence[Vector]) -> None:
        """Write the term of every bias."""
        for (_, start), (_, end), target in zip(self._start, self._end, dbiases, strict=True):
            self._write(start, end, target)

    def _write(self, start: Matrix, end: Matrix, out: Matrix) -> None:
        np.subtract(start, end, out=out)
        out *= self._share
