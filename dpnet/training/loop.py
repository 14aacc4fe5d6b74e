"""The training loop: take a step, do what is due after it, until there is no step left.

Every rank runs this same code. Rank 0 does what only one rank can do (files, the console), and shares the outcome; all
decisions follow from numbers that every rank has.

A step counts once all that is due after it has been done as well: its evaluation, its checkpoint. After a loss the
ranks that are left go on from the last step that counts for all of them, see `recover`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence

import numpy as np

from dpnet import whereabouts
from dpnet.comm.group import Member
from dpnet.comm.topology import on_one_host
from dpnet.errors import DivergenceError
from dpnet.output.run_directory import RunDirectory
from dpnet.parallel.step_sums import Sums
from dpnet.resilience import nonfinite, replica_check
from dpnet.resilience.common_step import RecentSteps
from dpnet.resilience.signals import StopSignals
from dpnet.state.banks import StateVectors
from dpnet.training import agenda
from dpnet.training.build import build_parts, build_watchdog
from dpnet.training.checkpointing import Checkpointing
from dpnet.training.prepare import TrainingData
from dpnet.training.progress import Progress
from dpnet.training.reporting import Reporting
from dpnet.training.setup import Setup
from dpnet.training.start import StartingPoint
from dpnet.training.summary import Stopwatch, Summary, finish
from dpnet.whereabouts import HERE


class Loop:
    """A training in progress.

    Args:
        setup: of the job.
        data: what it trains on.
        start: where it starts.
        run_dir: where its files go.
        signals: the signals that end it.

    Attributes:
        parts: what takes its steps.
        progress: how far it is.
    """

    def __init__(
        self, setup: Setup, data: TrainingData, start: StartingPoint, run_dir: RunDirectory, signals: StopSignals
    ) -> None:
        self._setup, self._source, self._signals, job = setup, data.source, signals, setup.job
        how = job.output.progress, data.source.eval_split, job.model.task, job.evaluate.metric
        self._reporting = Reporting(setup.group, run_dir, *how)
        self._checkpointing = Checkpointing(setup, data.identity, run_dir, start)
        self._run_dir, self._stopwatch, self._restarts = run_dir, Stopwatch(start.progress.step), False
        self._go_to(start.progress, start.vectors)

    def _go_to(self, progress: Progress, vectors: StateVectors | None) -> None:
        """Build the parts, to go on from `progress`; collective."""
        job, group = self._setup.job, self._setup.group
        self.progress, self.parts = progress, build_parts(self._setup, self._source, vectors)
        self._recent = RecentSteps(progress)
        steps_per_epoch = self.parts.plan.steps_per_epoch
        evaluates, several_nodes = self.parts.evaluator is not None, not on_one_host(group)
        self._every = agenda.intervals(job, steps_per_epoch, evaluates=evaluates, several_nodes=several_nodes)
        self._saves = agenda.saves_checkpoints(job, steps_per_epoch)
        HERE.relocate(whereabouts.row_of(self.parts.board.data, group.rank - self.parts.node_ranks.start))
        HERE.step_done(progress.step + 1)

    @property
    def is_finished(self) -> bool:
        """Whether there is no step left to take."""
        patience = self._setup.job.evaluate.patience
        stopped_early = 0 < patience <= self.progress.evaluations_waited
        return stopped_early or self.progress.step >= self.parts.total_steps

    def open(self, *, after_loss: bool = False) -> None:
        """Report and save from now on, after the current step; collective.

        Raises:
            OutputError: something cannot be written; or, after a loss, this part of the job was cut off.
        """
        step = self.progress.step
        self._checkpointing.open(step, self._reporting.note, after_loss=after_loss)
        self._reporting.open(self.parts.plan, self.progress, total_steps=self.parts.total_steps)

    def close(self) -> None:
        """Report and save no more."""
        with contextlib.closing(self._reporting):
            self._checkpointing.close()

    def run(self) -> Summary:
        """Take all steps that are left; returns the summary."""
        with contextlib.closing(self), build_watchdog(self._setup, self.parts, self._run_dir.path):
            # An overflow is noticed in the sums of the step, on all ranks at once.
            with np.errstate(over="ignore", invalid="ignore"):
                while not self.is_finished:
                    self._take_step()
                HERE.enter(whereabouts.END)
                self._check_params()
                if self.parts.evaluator is not None and self.progress.eval_step != self.progress.step:
                    self._evaluate()
                if self._saves:
                    self._save(last=True)
            self._settle()
            return finish(self._setup, self._run_dir, self.parts, self.progress, self._stopwatch, self._reporting.note)

    def recover(self) -> bool:
        """Go on with the ranks that are left, from the last step that counts for all of them; collective.

        Two ranks can be one step apart. The state after the earlier of the two is whole on both: see `state.banks`.

        Returns:
            False: they have none in common, as after a loss during a rollback: start from a checkpoint.
        """
        HERE.enter(whereabouts.RECOVERY)
        if (progress := self._recent.common(self._setup.group)) is None or self._setup.job.train.workers:
            return False  # Workers of local SGD are lost with their ranks.
        bank = self.parts.state.at(progress.step)
        self._go_to(progress, StateVectors(bank.params, bank.slots, progress.step))
        self.open(after_loss=True)
        return True

    def report_losses(self, members: Sequence[Member], total: int, *, lost_s: float, detect_s: float) -> None:
        """Report that ranks were lost and that training goes on; collective.

        Args:
            members: the ranks that were lost since the last report.
            total: ranks lost in this training.
            lost_s: time.monotonic when the loss was noticed.
            detect_s: seconds that this rank had waited until then.
        """
        detect_s, recover_s = max(self._setup.group.allgather(detect_s)), time.monotonic() - lost_s
        self.progress.ranks_lost, world_size = total, self._setup.group.world_size
        self._restarts = self._setup.job.resilience.after_loss == "restart"
        self._reporting.ranks_lost(self.progress, members, world_size, detect_s=detect_s, recover_s=recover_s)

    def _take_step(self) -> None:
        sums = self._train()
        if sums is None or (sums.bad and self._handle_nonfinite(sums.loss)):
            return
        step, span = self.progress.step, self._recent.steps_to(self.progress)
        due = agenda.due(step, self.parts.total_steps, self._every, sums, span)
        saved = due is not agenda.NOTHING_DUE and self._do(due)
        if why := agenda.why_stop(sums, restarts=self._restarts, at_checkpoint=saved or not self._saves):
            self._stop(why)
        self._recent.remember(self.progress)

    def _train(self) -> Sums | None:
        """Take a step, or none if a number in it is not finite; returns its sums over all ranks, if they are known."""
        step, scale, saving = self.progress.step, self.progress.learning_rate_scale, self._checkpointing
        stop = bool(self._signals.received)
        requests = agenda.requests(save=saving.is_overdue(), stop=stop, fail=saving.is_failing())
        sums = self.parts.trainer.step(step, requests, learning_rate_scale=scale)
        HERE.step_done(step + 2)
        self.progress.add_step(sums)
        return sums

    def _do(self, due: agenda.Due) -> bool:
        """Do what is due; returns whether a checkpoint was saved."""
        progress, group = self.progress, self._setup.group
        reports = due.report and progress.weight > 0
        if reports:
            rate = self.parts.trainer.schedule(progress.step - 1) * progress.learning_rate_scale
            self._reporting.steps_taken(progress, rate)
            progress.clear_sums()
        if due.compare_replicas:
            replica_check.check(self.parts.state.params, group, progress.step)
        if due.find_stragglers and (text := self.parts.stragglers.look()):
            self._reporting.note(text)
        is_best = due.evaluate and self._evaluate()
        if due.epoch and not due.evaluate:
            self._reporting.epoch_taken(progress)
        if (reports or due.evaluate) and group.survives_losses:
            group.barrier()  # Rank 0 has written the rows. Until all ranks know that, the step counts for none.
        saved = self._saves and (due.save or (is_best and self._setup.job.checkpoint.keep_best))
        if saved:
            self._save()
        if due.check:
            self._checkpointing.check()
        return saved

    def _evaluate(self) -> bool:
        assert self.parts.evaluator is not None
        HERE.enter(whereabouts.EVALUATION)
        scores = self.parts.evaluator(self.parts.state.layers)
        if bad := scores.not_finite:
            raise self._diverged(f"the {self.parts.eval_split} {bad}")
        self.progress.add_evaluation(scores)
        self._reporting.evaluated(self.progress)
        return self.parts.chooses and self.progress.choose(scores, self._setup.job.evaluate)

    def _save(self, *, last: bool = False) -> None:
        HERE.enter(whereabouts.CHECKPOINT)
        self._check_params()
        self._stopwatch.count(self.progress)
        self._checkpointing.save(self.parts, self.progress, last=last)
        HERE.beat()

    def _settle(self) -> None:
        """Report where the time went, and wait until the disk has all checkpoints; collective."""
        self._reporting.time_spent(self.progress)
        self._checkpointing.flush(lambda: not self.is_finished or bool(self._signals.received))

    def _stop(self, why: str) -> None:
        """End with a checkpoint, to be started again; a training without a step left goes on to its end."""
        if not self.is_finished:
            self._save(last=True)
            self._settle()
            code = self._setup.job.resilience.preempted_exit_code
            signals = self._setup.group.allgather(self._signals.received)
            raise agenda.preempted(why, self.progress.step, self.parts.total_steps, code, signals=signals)

    def _handle_nonfinite(self, loss: float) -> bool:
        """Deal with a step that was not taken; returns whether the training went back to an earlier one."""
        resilience, progress = self._setup.job.resilience, self.progress
        origin = nonfinite.origin(self.parts.trainer, self._setup.group, progress.step - 1)
        how, max_skips = resilience.on_nonfinite, resilience.max_skips
        reaction = nonfinite.reaction(how, skipped_in_a_row=progress.skipped_in_a_row, max_skips=max_skips)
        if reaction == "raise":
            raise self._diverged("the gradient" if math.isfinite(loss) else "the loss", origin)
        self._reporting.note(nonfinite.left_out(self.parts.trainer, progress.step, origin))
        if reaction == "skip":
            return False
        start = self._checkpointing.newest()
        start.progress.take_over_skips(progress, resilience.rollback_factor)
        self._go_to(start.progress, start.vectors)
        self.open()
        scale = self.progress.learning_rate_scale
        self._reporting.note(f"back to step {self.progress.step:,}, the learning rate times {scale:g}")
        return True

    def _check_params(self) -> None:
        # The loss of a step is that of the parameters before it; the update itself may have overflowed.
        if not np.isfinite(self.parts.state.params).all():
            raise self._diverged("a parameter")

    def _diverged(self, what: str, where: str = "") -> DivergenceError:
        step, skipped = self.progress.step, self.progress.skipped_in_a_row
        rate = self._setup.job.optimizer.learning_rate
        return nonfinite.error(what, where, step=step, skipped_in_a_row=skipped, learning_rate=rate)
