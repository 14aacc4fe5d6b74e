"""After a loss: the last step that counts for all ranks that are left.

A step counts for a rank when all that is due after it has been done as well: its evaluation, its checkpoint. Ranks wait
for each other in every step, so that when one is lost, the others are at most one step apart. Each remembers its last
two steps; the newest step of the rank that is furthest behind is the common one.

        rank 0   … 41  42
        rank 2   … 40  41        rank 1 is lost: both go on from step 41
"""

from __future__ import annotations

import copy
from collections import deque
from typing import Generic, Protocol, TypeVar

from dpnet.comm.group import Group


class HasStep(Protocol):
    """How far a training is."""

    @property
    def step(self) -> int:
        """Steps taken."""


P = TypeVar("P", bound=HasStep)


class RecentSteps(Generic[P]):
    """How far this rank was after each of its last two steps that count.

    Args:
        progress: how far it is now. A copy is kept, so the object may change.
    """

    def __init__(self, progress: P) -> None:
        self._recent = deque([copy.copy(progress)], maxlen=2)

    def steps_to(self, progress: P) -> int:
        """Steps from the newest one that counts for this rank to `progress`."""
        return progress.step - self._recent[-1].step

    def remember(self, progress: P) -> None:
        """Another step counts for this rank; a copy of `progress` is kept."""
        self._recent.append(copy.copy(progress))

    def common(self, group: Group) -> P | None:
        """A copy of what was remembered of the last step that counts for all ranks; collective.

        Returns:
            None, on every rank: they have no step in common.
        """
        steps = group.allgather([progress.step for progress in self._recent])
        step = min(of_rank[-1] for of_rank in steps)
        if not all(step in of_rank for of_rank in steps):
            return None
        return next(copy.copy(progress) for progress in self._recent if progress.step == step)
