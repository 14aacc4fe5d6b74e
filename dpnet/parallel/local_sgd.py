"""Local SGD with an outer momentum (DiLoCo): K workers train apart, and meet every H steps.

Data parallelism sends a gradient in every step. Over a slow link that takes longer than the step itself. Here each of K
workers is a training of its own, with parameters, optimizer vectors and a part of every batch; it takes H steps without
asking anybody. Then all meet, once:

    theta       the parameters with which all workers began, H steps ago
    theta_w     those that worker w has come to
    g           the mean of theta - theta_w over all workers       the outer gradient: how far they walked together
    v        <- mu v + g                                           the outer momentum
    theta    <- theta - eta (g + mu v)                             Nesterov's step, with the outer learning rate eta
    theta_w  <- theta                                              all go on from there

So a vector travels every H steps, in place of one in every step. Workers keep their optimizer vectors, which differ.
With eta = 1 and mu = 0 the parameters are averaged; where walks disagree, theta then moves less than any of them. The
outer momentum makes up for that.

A step, wherever dpnet counts steps, is one step of all K workers: `global_batch_size` samples, a K-th for each of them.
So epochs, schedules and samples per second mean what they always mean. Clipping is by the norm of a worker's gradient.

**A worker is not a rank.** K is a number of the job. Ranks share out the workers, and a rank takes the steps of its own
in turn. What a worker computes depends on nobody until all meet; the mean is then summed in the fixed order of the tree
over workers (see `tree`). So there are the same bits on any number of ranks up to K.

**A meeting is a step of data parallelism**, in which the gradient of shard w is the walk of worker w. Its parts are the
same: a reducer that sums shards in a fixed order, the owner's update of its slice, a state that the ranks of a node
share. Only here do ranks hear of one another. So what is due after a step (a row of the learning curve, an evaluation,
a checkpoint, the end after a signal) waits for the next meeting. There the parameters of all workers are theta: it is
what is evaluated, called the best and saved as the model. A checkpoint adds the outer momentum, and the optimizer
vectors of every worker (`0.weight.worker3.exp_avg`): a training goes on from it to the same bits, on any number of
ranks. The last step of a training is a meeting, even if it is no H-th one.

A lost rank takes with it what its workers have done, so the others do not go on without them: they go back to the last
checkpoint, and share out all K workers anew. A number that is not finite is noticed by its worker, which leaves that
step out, and told at the meeting.

Sources: Stich, "Local SGD Converges Fast and Communicates Little", 2019; Douillard et al., "DiLoCo: Distributed
Low-Communication Training of Language Models", 2023, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dpnet.comm.group import Group
from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.optim.schedules import Schedule
from dpnet.parallel.plan import Plan
from dpnet.parallel.shards import ShardReducer
from dpnet.parallel.step_sums import NOTHING, Requests, Sums
from dpnet.parallel.workers import Walk, Worker, worker_names
from dpnet.state.banks import State, StateVectors
from dpnet.state.update import SliceUpdate
from dpnet.whereabouts import COMMIT, HERE, REDUCE, UPDATE

OUTER = "outer."
"""Before the names of the outer optimizer's vectors in a checkpoint."""


class LocalTrainer:
    """Takes the steps of this rank's workers, and lets all workers meet. See `step.Trainer`, which it stands in for.

    Args:
        group: all ranks.
        plan: which samples each step uses; a shard is the part of a worker.
        shares: the numbers of the workers of every rank.
        workers: of this rank.
        reducer: sums the walks of all workers.
        update: lets the outer optimizer change the owned slice.
        state: the parameters that all workers began with, and the outer momentum.
        schedule: learning rate of each step of a worker.
        sync_every: H, steps from one meeting to the next.
        total_steps: of the training; the last one is a meeting.
        outer_learning_rate: eta.
    """

    def __init__(
        self,
        group: Group,
        *,
        plan: Plan,
        shares: Sequence[Sequence[int]],
        workers: Sequence[Worker],
        reducer: ShardReducer,
        update: SliceUpdate,
        state: State,
        schedule: Schedule,
        sync_every: int,
        total_steps: int,
        outer_learning_rate: float,
    ) -> None:
        self.plan, self.state, self.schedule = plan, state, schedule
        self._group, self._shares, self._workers = group, shares, workers
        self._reducer, self._update = reducer, update
        self._sync_every, self._total_steps, self._outer_learning_rate = sync_every, total_steps, outer_learning_rate
        self._slots, self._collected = workers[0].slots, dict[str, Vector]()
        self.bad: Sequence[str] = ()
        """Where numbers of this rank's workers were not finite before the last meeting."""

    def step(self, step: int, requests: Requests = NOTHING, *, learning_rate_scale: float = 1.0) -> Sums | None:
        """Take step `step` with every worker of this rank, and then meet, if it is time.

        Args:
            step: from 0; selects the samples and the learning rate.
            requests: of this rank; heard where the workers meet.
            learning_rate_scale: factor on the learning rate of the schedule.

        Returns:
            the sums over all steps since the last meeting; None between two meetings: nobody knows them yet.
        """
        for worker in self._workers:
            worker.step(step, learning_rate_scale)
        done = step + 1
        return self._meet(done, requests) if done % self._sync_every == 0 or done == self._total_steps else None

    def _meet(self, done: int, requests: Requests) -> Sums:
        """Take the outer step, after `done` steps; collective."""
        HERE.enter(REDUCE)
        for worker in self._workers:
            walk = Walk(self.state.layers, worker.layers, self.plan.num_shards)
            walk.bias_gradients(self._reducer.dbiases)
            self._reducer.add(worker.number, walk, Sums(*worker.sums[:5], *requests))
            requests = NOTHING
        sums = self._reducer.reduce(self.plan.batch_size(done - 1))
        HERE.enter(UPDATE)
        self._update.apply(step=done, learning_rate=self._outer_learning_rate)
        HERE.enter(COMMIT)
        self.state.commit()
        self.state.step = done
        self.bad = [worker.bad for worker in self._workers if worker.bad]
        for worker in self._workers:
            worker.begin(self.state.params)
        return sums

    def load(self, vectors: StateVectors) -> None:
        """Go on from another state, that of a meeting; collective.

        Args:
            vectors: at least those of the outer optimizer and of this rank's workers, or none at all.
        """
        outer = {name.removeprefix(OUTER): vector for name, vector in vectors.slots.items() if name.startswith(OUTER)}
        self.state.load(StateVectors(vectors.params, outer, vectors.step))
        for worker in self._workers:
            worker.load(vectors)

    def optimizer_vectors(self) -> Mapping[str, Vector]:
        """On rank 0, all that a checkpoint holds beside the parameters, by name; collective, at a meeting.

        The vectors of the workers of other ranks are sent to rank 0, which keeps the memory for them.
        """
        group, found = self._group, {OUTER + slot: vector for slot, vector in self.state.slots.items()}
        mine = {name: vector for worker in self._workers for name, vector in worker.vectors.items()}
        if group.rank:
            group.exchange([(0, vector) for vector in mine.values()], [])
            return found | mine
        receives = []
        for rank, workers in list(enumerate(self._shares))[1:]:
            for name in (name for worker in workers for name in worker_names(worker, self._slots)):
                if name not in self._collected:
                    self._collected[name] = aligned_zeros(len(self.state.params), self.state.params.dtype)
                receives.append((rank, self._collected[name]))
        group.exchange([], receives)
        return found | mine | self._collected


def vector_names(outer: Sequence[str], slots: Sequence[str], workers: Sequence[int]) -> tuple[str, ...]:
    """The names in a checkpoint of the outer optimizer's vectors, `outer`, and of those of some workers, `slots`."""
    return (*(OUTER + slot for slot in outer), *(name for worker in workers for name in worker_names(worker, slots)))
