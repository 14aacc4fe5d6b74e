"""One training step, the same on every rank: this is data parallelism."""

from __future__ import annotations

import math
from typing import NamedTuple

from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.nn.network import MLP
from dpnet.optim.schedules import Schedule
from dpnet.parallel.feed import Feed
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import Reducer
from dpnet.state.banks import State
from dpnet.state.update import SliceUpdate
from dpnet.whereabouts import BACKWARD, COMMIT, DATA, FORWARD, HERE, REDUCE, UPDATE


class StepSums(NamedTuple):
    """What a step adds up over all its samples on all ranks; the same numbers on every rank.

    Attributes:
        samples: number of samples.
        loss: summed negative log-likelihood, in nats.
        hits: number of samples whose largest logit is that of their label.
        bad: number of shards whose loss or gradient is not finite; if any, the step was not taken.
        saves: number of ranks that asked for a checkpoint.
        stops: number of ranks that asked for the end of the training.
        failures: number of ranks that cannot go on.
    """

    samples: int
    loss: float
    hits: int
    bad: int = 0
    saves: int = 0
    stops: int = 0
    failures: int = 0


class Requests(NamedTuple):
    """What a rank asks of all others; it travels with the sums of a step, so all ranks know at the same time.

    Attributes:
        save: a checkpoint.
        stop: the end of the training, with a checkpoint.
        fail: the end of the training, with an error that this rank tells.
    """

    save: bool = False
    stop: bool = False
    fail: bool = False


NOTHING = Requests()
NUM_WORDS = 6
"""Numbers that every shard adds to the sums of a step: loss, hits, bad, saves, stops, failures."""


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

    def step(self, step: int, requests: Requests = NOTHING, *, learning_rate_scale: float = 1.0) -> StepSums:
        """Take step `step`, from 0; or none, if a number in it is not finite.

        Args:
            step: selects the samples and the learning rate.
            requests: of this rank.
            learning_rate_scale: factor on the learning rate of the schedule.
        """
        reducer, state, enter = self.reducer, self.state, HERE.enter
        num_samples = self.plan.batch_size(step)
        # The gradient is that of the mean over the global batch. This is the only division: all that follows are sums.
        scale = 1.0 / num_samples
        asked: tuple[float, ...] = requests
        for shard in reducer.shards:
            first = reducer.first_row(num_samples, shard)
            enter(DATA)
            x, labels = self.feed.gather(step, shard, first=first)
            enter(FORWARD)
            logits = self.model.forward(x, state.layers, first=first)
            loss, hits = self.loss(logits, labels, scale)  # logits become d loss / d logits
            enter(BACKWARD)
            finite = self.model.propagate(logits, state.layers, reducer.dbiases)
            reducer.add(shard, (loss, hits, not (finite and math.isfinite(loss)), *asked))
            asked = (0, 0, 0)
        enter(REDUCE)
        total_loss, right, bad, saves, stops, failures = reducer.reduce(num_samples)
        if bad:
            state.keep()
        else:
            enter(UPDATE)
            self.update.apply(step=step + 1, learning_rate=self.schedule(step) * learning_rate_scale)
            enter(COMMIT)
            state.commit()
        return StepSums(num_samples, total_loss, int(right), int(bad), int(saves), int(stops), int(failures))
