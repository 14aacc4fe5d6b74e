"""One training step, the same on every rank: this is data parallelism."""

from __future__ import annotations

from typing import NamedTuple

from dpnet.data.feed import Feed
from dpnet.nn.loss import SoftmaxNLL
from dpnet.nn.mlp import MLP
from dpnet.optim.schedules import Schedule
from dpnet.plan import Plan
from dpnet.reduce.reducer import Reducer
from dpnet.state import State
from dpnet.update import SliceUpdate


class StepSums(NamedTuple):
    """What a step adds up over all its samples on all ranks; the same numbers on every rank.

    Attributes:
        samples: number of samples.
        loss: summed negative log-likelihood, in nats.
        hits: number of samples whose largest logit is that of their label.
        requests: number of ranks that asked for a checkpoint.
    """

    samples: int
    loss: float
    hits: int
    requests: int


NUM_WORDS = 3
"""Numbers that every shard adds to the sums of a step: loss, hits, requests."""


class Trainer:
    """Takes training steps.

    Args:
        plan: which samples each step uses.
        feed: brings the samples of every shard.
        model: forward and backward.
        loss: at the end of the model.
        reducer: sums gradients over all samples.
        update: lets the optimizer change the owned slice.
        state: parameters, current and next.
        schedule: learning rate of each step.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        feed: Feed,
        model: MLP,
        loss: SoftmaxNLL,
        reducer: Reducer,
        update: SliceUpdate,
        state: State,
        schedule: Schedule,
    ) -> None:
        self.plan = plan
        self.schedule = schedule
        self.feed = feed
        self.model = model
        self.loss = loss
        self.reducer = reducer
        self.update = update
        self.state = state

    def step(self, step: int, *, request: bool = False) -> StepSums:
        """Take step `step`, from 0.

        Args:
            step: selects the samples and the learning rate.
            request: this rank asks for a checkpoint after the step. It travels with the sums, so all ranks know.
        """
        num_samples = self.plan.batch_size(step)
        # The gradient is that of the mean over the global batch. This is the only division: all that follows are sums.
        scale = 1.0 / num_samples
        for shard in self.reducer.shards:
            first = self.reducer.first_row(num_samples, shard)
            x, labels = self.feed.gather(step, shard, first=first)
            logits = self.model.forward(x, self.state.layers, first=first)
            loss, hits = self.loss(logits, labels, scale)  # logits become d loss / d logits
            self.model.propagate(logits, self.state.layers, self.reducer.dbiases)
            self.reducer.add(shard, (loss, hits, request and shard == self.reducer.shards[0]))
        total_loss, total_hits, requests = self.reducer.reduce(num_samples)
        self.update.apply(step=step + 1, learning_rate=self.schedule(step))
        self.state.commit()
        return StepSums(num_samples, total_loss, int(total_hits), int(requests))
