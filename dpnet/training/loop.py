"""The coordinator: starts, resumes, evaluates, checkpoints and stops a training, and goes on after a loss.

Every rank runs this same code. What only one rank can do (files, the console) rank 0 does and shares the outcome; all
decisions follow from numbers that every rank has.

A step counts when all that is due after it has been done as well: its evaluation, its checkpoint. After a loss the
ranks that are left go on from the last step that counts for all of them, see `recover`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence

import numpy as np

from dpnet import whereabouts
from dpnet.comm.group import Group, Member
from dpnet.compute.backend import Backend
from dpnet.config.job import Job
from dpnet.errors import DivergenceError, Preempted
from dpnet.parallel.step import NOTHING, Requests
from dpnet.resilience import nonfinite
from dpnet.resilience import replicas as samebits
from dpnet.resilience.common_step import RecentSteps
from dpnet.resilience.signals import StopSignals
from dpnet.resilience.stragglers import EVERY_STEPS, Pace
from dpnet.resilience.watchdog import Watchdog
from dpnet.state.banks import Start
from dpnet.training.build import build_parts
from dpnet.training.prepare import Data
from dpnet.training.reporting import Records, Summary
from dpnet.training.start import Begin
from dpnet.whereabouts import HERE


class Coordinator:
    """A training in progress.

    Args:
        job: its configuration.
        group: all ranks.
        data: what it trains on.
        backend: what it computes with.
        begin: where it begins.
        records: what it leaves behind.
        signals: that end it.

    Attributes:
        parts: that it is made of.
        progress: how far it is.
    """

    def __init__(
        self,
        job: Job,
        group: Group,
        data: Data,
        backend: Backend,
        begin: Begin,
        records: Records,
        signals: StopSignals,
    ) -> None:
        self._job, self._group, self._data, self._backend = job, group, data, backend
        self._records, self._signals = records, signals
        self._scaling, self.progress = begin.scaling, begin.progress
        self._build(begin.start)
        steps_per_epoch = self.parts.plan.steps_per_epoch
        self._evaluate_every = job.evaluate.interval_steps(steps_per_epoch)
        self._checkpoint_every = job.checkpoint.interval_steps(steps_per_epoch)
        self._checkpoints_on = bool(self._checkpoint_every or job.checkpoint.every_seconds)
        self._stops_at_checkpoint = False

    def _build(self, start: Start | None) -> None:
        parts = build_parts(self._job, self._data.source, self._scaling, self._group, self._backend, start)
        self.parts = parts
        self._recent = RecentSteps(self.progress)
        self._pace = Pace(self._group)
        HERE.relocate(whereabouts.row_of(parts.board.data, self._group.rank - parts.here.start))
        HERE.step_done(self.progress.step + 1)

    @property
    def finished(self) -> bool:
        """Whether there is no step left to take."""
        patience = self._job.evaluate.patience
        stopped_early = 0 < patience <= self.progress.evaluations_waited
        return stopped_early or self.progress.step >= self.parts.total_steps

    def run(self) -> Summary:
        """Take all steps that are left.

        Returns:
            what summary.json holds.
        """
        with contextlib.closing(self._records), self._watched():
            # Numbers that overflow are noticed in the sums of the step, on all ranks at once.
            with np.errstate(over="ignore", invalid="ignore"):
                while not self.finished:
                    self._take_step()
                HERE.enter(whereabouts.END)
                self._check_params()
                if self.parts.evaluator is not None and self.progress.eval_step != self.progress.step:
                    self._evaluate()
                if self._checkpoints_on:
                    self._save(must=True)
            return self._records.finish(self.parts, self.progress)

    def _watched(self) -> Watchdog:
        return Watchdog(
            self._records.folder,
            self.parts.board,
            rank=self._group.rank,
            world_size=self._group.world_size,
            node_ranks=self.parts.here,
            host=self._group.host,
            timeout_s=self._job.resilience.timeout_s,
            end=self._job.resilience.on_hang == "end",
        )

    def recover(self) -> bool:
        """Go on with the ranks that are left, from the last step that counts for all of them; collective.

        Two ranks can be one step apart. The state after the earlier of the two is whole on both: see `state.py`.

        Returns:
            False: they have no step in common, which is so only after a loss amid a rollback: begin from a checkpoint.
        """
        HERE.enter(whereabouts.RECOVERY)
        if (progress := self._recent.common(self._group)) is None:
            return False
        bank = self.parts.state.at(progress.step)
        self.progress = progress
        self._build(Start(bank.params, bank.slots, progress.step))
        self._records.open(self.parts, self.progress, after_loss=True)
        return True

    def tell_losses(self, members: Sequence[Member], total: int, *, lost_s: float, detect_s: float) -> None:
        """Tell that ranks were lost and that training goes on; collective.

        Args:
            members: that were lost since the last time.
            total: ranks lost in this training.
            lost_s: when the loss was noticed, in seconds of time.monotonic.
            detect_s: seconds that this rank had waited until then.
        """
        detect_s = max(self._group.allgather(detect_s))
        self.progress.ranks_lost = total
        self._stops_at_checkpoint = self._job.resilience.after_loss == "restart"
        self._records.lost(self.progress, members, detect_s=detect_s, recover_s=time.monotonic() - lost_s)

    def _take_step(self) -> None:
        step = self.progress.step
        scale = self.progress.learning_rate_scale
        sums = self.parts.trainer.step(step, self._requests(), learning_rate_scale=scale)
        HERE.step_done(step + 2)
        self.progress.add_step(sums)
        if sums.bad and self._goes_back(sums.loss):
            return
        has_rows = self._due(self._job.output.log_every_steps) and self.progress.samples > 0
        if has_rows:
            self._records.trained(self.progress, self.parts.trainer.schedule(step) * scale)
            self.progress.clear_sums()
        self._look_around(step + 1)
        is_best = False
        if self.parts.evaluator is not None and self._due(self._evaluate_every):
            is_best, has_rows = self._evaluate(), True
        if has_rows and self._group.survives_losses:
            self._group.barrier()  # Rank 0 has written them. Before that is sure the step counts for nobody.
        keep = is_best and self._job.checkpoint.keep_best
        due = self._checkpoints_on and (self._due(self._checkpoint_every) or bool(sums.saves) or keep)
        if due:
            self._save()
        if sums.failures:
            self._records.check()
        if sums.stops and not self.finished:
            self._stop("a signal came")
        if self._stops_at_checkpoint and (due or not self._checkpoints_on) and not self.finished:
            self._stop("ranks were lost, and resilience.after_loss is restart")
        self._recent.remember(self.progress)

    def _requests(self) -> Requests:
        stop, fail, save = bool(self._signals.received), self._records.failing(), self._records.overdue()
        return Requests(save, stop, fail) if stop or fail or save else NOTHING

    def _due(self, every_steps: int) -> bool:
        step = self.progress.step
        return every_steps > 0 and (step % every_steps == 0 or step == self.parts.total_steps)

    def _stop(self, why: str) -> None:
        self._save(must=True)
        self._records.settle(self.progress)
        raise Preempted(
            f"{why}: stopped after step {self.progress.step:,} of {self.parts.total_steps:,}, with a checkpoint; "
            "the same command goes on from there",
            self._job.resilience.preempted_exit_code,
        )

    def _look_around(self, step: int) -> None:
        group, every = self._group, self._job.resilience.digest_every
        if every and step % every == 0 and group.node.world_size < group.world_size:
            samebits.check(self.parts.state.params, group, step)
        if step % EVERY_STEPS == 0 and (text := self._pace.look()):
            self._records.note(text)

    def _goes_back(self, loss: float) -> bool:
        """Deal with a step that was not taken; returns whether the training went back to an earlier one."""
        how, progress, skipped = self._job.resilience, self.progress, self.progress.skipped_in_a_row
        origin = nonfinite.origin(self.parts.trainer, self._group, progress.step - 1)
        reaction = nonfinite.reaction(how.on_nonfinite, skipped_in_a_row=skipped, max_skips=how.max_skips)
        if reaction == "raise":
            raise self._diverged("the gradient" if math.isfinite(loss) else "the loss", origin)
        self._records.note(f"step {progress.step:,} is not taken, its numbers are not finite: {origin}")
        if reaction == "skip":
            return False
        begin = self._records.last_checkpoint()
        begin.progress.take_over_skips(progress, how.rollback_factor)
        self.progress = begin.progress
        self._build(begin.start)
        self._records.open(self.parts, self.progress)
        self._records.note(
            f"back to step {self.progress.step:,}, the learning rate times {self.progress.learning_rate_scale:g}"
        )
        return True

    def _diverged(self, what: str, where: str = "") -> DivergenceError:
        step, skipped, rate = self.progress.step, self.progress.skipped_in_a_row, self._job.optimizer.learning_rate
        return nonfinite.error(what, where, step=step, skipped_in_a_row=skipped, learning_rate=rate)

    def _check_params(self) -> None:
        # The loss of a step is that of the parameters before it; the update itself may have overflowed.
        if not np.isfinite(self.parts.state.params).all():
            raise self._diverged("a parameter")

    def _evaluate(self) -> bool:
        assert self.parts.evaluator is not None
        HERE.enter(whereabouts.EVALUATION)
        scores = self.parts.evaluator(self.parts.state.layers)
        if not math.isfinite(scores.loss):
            raise self._diverged("the test loss")
        is_best = self.progress.add_evaluation(scores, self._job.evaluate)
        self._records.evaluated(self.progress)
        return is_best

    def _save(self, *, must: bool = False) -> None:
        HERE.enter(whereabouts.CHECKPOINT)
        self._check_params()
        self._records.save(self.parts, self.progress, must=must)
        HERE.beat()
