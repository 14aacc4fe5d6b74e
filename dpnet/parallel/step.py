"""One training step, the same on every rank: this is data parallelism."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from dpnet.compute.arrays import Vector
from dpnet.nn.layout import Views
from dpnet.optim.schedules import Schedule
from dpnet.parallel.feed import Feed
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import Reducer
from dpnet.parallel.replica import Replica
from dpnet.parallel.step_sums import NOTHING, Requests, Sums
from dpnet.parallel.weights import BatchWeights, total
from dpnet.state.banks import State, StateVectors
from dpnet.state.update import SliceUpdate
from dpnet.whereabouts import BACKWARD, COMMIT, DATA, FORWARD, HERE, REDUCE, UPDATE


class RowExchange(Protocol):
    """What completes the rows of other nodes in this node's buffers."""

    def begin(self, step: int) -> None:
        """Before this rank goes forward in step `step`; collective."""

    def complete(self, params: Views) -> None:
        """Complete all rows of the step that has begun, with the parameters; collective.

        This rank has gone forward and back, and its numbers of the step lie in the reducer.
        """


class NoExchange:
    """Nothing: the rows of other nodes are not needed here."""

    def begin(self, step: int) -> None:
        """See RowExchange.begin."""

    def complete(self, params: Views) -> None:
        """See RowExchange.complete."""


class Trainer:
    """Takes training steps.

    Args:
        plan: which samples each step uses.
        weights: how much each of them counts.
        feed: brings the samples of every shard.
        replica: the network and its loss.
        reducer: sums the gradients of all shards.
        update: lets the optimizer change the owned slice.
        state: parameters, current and next.
        exchange: completes the rows of other nodes.
        schedule: learning rate of each step.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        weights: BatchWeights,
        feed: Feed,
        replica: Replica,
        reducer: Reducer,
        update: SliceUpdate,
        state: State,
        schedule: Schedule,
        exchange: RowExchange | None = None,
    ) -> None:
        self.plan = plan
        self.weights = weights
        self.feed = feed
        self.network = replica.network
        self.loss = replica.loss
        self.reducer = reducer
        self.update = update
        self.state = state
        self.exchange = exchange or NoExchange()
        self.schedule = schedule

    def load(self, vectors: StateVectors) -> None:
        """Go on from another state; collective."""
        self.state.load(vectors)

    def optimizer_vectors(self) -> Mapping[str, Vector]:
        """All that a checkpoint holds beside the parameters, by name."""
        return self.state.slots

    def step(self, step: int, requests: Requests = NOTHING, *, learning_rate_scale: float = 1.0) -> Sums:
        """Take step `step`, or leave it out if a number in it is not finite.

        Args:
            step: from 0; selects the samples and the learning rate.
            requests: of this rank.
            learning_rate_scale: factor on the learning rate of the schedule.

        Returns:
            the sums over all samples of all ranks.
        """
        network, reducer, state, enter = self.network, self.reducer, self.state, HERE.enter
        num_samples = self.plan.batch_size(step)
        # The gradient is that of the mean over the global batch. This is the only division: all that follows are sums.
        scale = self.weights.scale(step)
        self.exchange.begin(step)
        for shard in reducer.shards:
            first = reducer.first_row(num_samples, shard)
            enter(DATA)
            x, labels = self.feed.gather(step, shard, first=first)
            enter(FORWARD)
            logits = network.forward(x, state.layers, first=first)
            weights = self.weights.of_shard(step, shard)
            loss, hits = self.loss(logits, labels, scale, weights)  # logits become d loss / d logits
            enter(BACKWARD)
            backward = network.propagate(logits, reducer.dbiases)
            bad = not (backward.finite and math.isfinite(loss))
            weight = total(len(x), weights)
            reducer.add(shard, backward, Sums(len(x), weight, loss, hits, bad, *requests))
            requests = NOTHING
        enter(REDUCE)
        self.exchange.complete(state.layers)
        sums = reducer.reduce(num_samples)
        if sums.bad:
            state.keep()
        else:
            enter(UPDATE)
            self.update.apply(step=step + 1, learning_rate=self.schedule(step) * learning_rate_scale)
            enter(COMMIT)
            state.commit()
        return sums
