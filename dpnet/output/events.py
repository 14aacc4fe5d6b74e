"""Events: what a training reports, and the sinks that show it.

Rank 0 has a list of sinks, the other ranks have none. A sink is one way to show events: rows in a file, lines on a
console. A new way to show them is a new sink, and no other code changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = dict[str, Any]
"""One line of the learning curve, as JSON holds it."""


@dataclass(frozen=True)
class StepsTaken:
    """Training steps since the last such event.

    Attributes:
        step: steps taken in all.
        epoch: passes over the training data in all.
        loss: mean over the samples of these steps, see `parallel.scores.Scores`.
        accuracy: share of these samples that were classified correctly; None: they have no classes.
        learning_rate: of the last of these steps.
        samples_per_s: of all ranks together.
        samples: used in all.
        mae: mean absolute error of these samples, in the units of the targets; None: these are no numbers.
        subset_accuracy: share of these samples all of whose labels were right; None: they do not have several labels.
    """

    step: int
    epoch: float
    loss: float
    accuracy: float | None
    learning_rate: float
    samples_per_s: float
    samples: int
    mae: float | None = None
    subset_accuracy: float | None = None

    def row(self) -> Row:
        """See Event.row."""
        return {name: value for name, value in _known(self).items() if name != "samples"}


@dataclass(frozen=True)
class Evaluated:
    """An evaluation: its scores, see `parallel.evaluate.Scores`, on the data `eval_split`: "validation" or "test"."""

    step: int
    epoch: float
    eval_loss: float | None
    eval_accuracy: float | None
    eval_samples: int | None
    eval_split: str
    eval_r2: float | None = None
    eval_rmse: float | None = None
    eval_mae: float | None = None
    eval_micro_f1: float | None = None
    eval_macro_f1: float | None = None
    eval_subset_accuracy: float | None = None

    def row(self) -> Row:
        """See Event.row."""
        return _known(self)


@dataclass(frozen=True)
class EpochTaken:
    """Training since the last such event: an epoch, or the part of one up to an evaluation or the end. For consoles.

    Attributes:
        step: steps taken in all.
        epoch: passes over the training data in all.
        loss: mean over the samples since the last such event.
        accuracy: share of these samples that were classified correctly; None: they have no classes.
        samples_per_s: of all ranks together, since the last such event.
        eval_scores: of an evaluation after this step, by measure: the loss, and one more; empty: there was none.
        eval_split: "validation" or "test": the data that evaluations take.
        mae: see StepsTaken.
        subset_accuracy: see StepsTaken.
        since: the step after which a training has gone on within the epoch: the means are those since then. 0: it has
            not.
    """

    step: int
    epoch: float
    loss: float
    accuracy: float | None
    samples_per_s: float
    eval_scores: Mapping[str, float] = field(default_factory=dict)
    eval_split: str = "test"
    mae: float | None = None
    subset_accuracy: float | None = None
    since: int = 0

    def row(self) -> None:
        """None: the learning curve has the same numbers in rows of their own."""


@dataclass(frozen=True)
class RanksLost:
    """Ranks were lost, and training goes on without them.

    Attributes:
        step: step after which it goes on.
        epoch: that step's.
        ranks: numbers of the lost ranks at the start of the job.
        hosts: their hosts.
        world_size: ranks that are left.
        detect_s: seconds until the loss was noticed.
        recover_s: seconds from then until training went on.
    """

    step: int
    epoch: float
    ranks: Sequence[int]
    hosts: Sequence[str]
    world_size: int
    detect_s: float
    recover_s: float

    def row(self) -> Row:
        """See Event.row."""
        seconds = {"detect_s": round(self.detect_s, 4), "recover_s": round(self.recover_s, 4)}
        return {"step": self.step, "epoch": self.epoch, "event": "ranks_lost", **_without_place(self), **seconds}


@dataclass(frozen=True)
class TimeSpent:
    """Where the time of every rank went.

    Attributes:
        step: steps taken in all.
        epoch: passes over the training data in all.
        seconds: by name, one number for each rank: see `resilience.stragglers.totals`.
    """

    step: int
    epoch: float
    seconds: Mapping[str, Sequence[Any]]

    def row(self) -> Row:
        """See Event.row."""
        return {"step": self.step, "epoch": self.epoch, "event": "time_spent", **self.seconds}


@dataclass(frozen=True)
class Note:
    """A sentence for whoever watches the training."""

    text: str

    def row(self) -> None:
        """None: a note is not a row of the learning curve."""


class Event(Protocol):
    """Something that happened in a training."""

    def row(self) -> Row | None:
        """The event as a row of the learning curve; None: it has no row."""


class Sink(Protocol):
    """One way to show events.

    A sink that writes a file raises OutputError if it cannot; a console raises what printing raises.
    """

    def write(self, event: Event) -> None:
        """Show an event, as far as this sink shows events of its kind."""

    def close(self) -> None:
        """Show no more."""


def _known(event: object) -> Row:
    """The fields of an event, without the measures that its task does not have."""
    return {name: value for name, value in vars(event).items() if value is not None}


def _without_place(event: object) -> Row:
    return {name: value for name, value in vars(event).items() if name not in ("step", "epoch")}
