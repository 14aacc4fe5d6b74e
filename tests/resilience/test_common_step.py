"""The last step that counts for all ranks that are left after a loss."""

from dataclasses import dataclass

import pytest

from dpnet.comm.local import LocalGroup
from dpnet.resilience.common_step import RecentSteps


@dataclass
class Reached:
    step: int
    loss: float = 0.0


class Ranks(LocalGroup):
    """This rank, and others that remember these steps."""

    def __init__(self, *others):
        super().__init__()
        self._others = others

    def allgather(self, value):
        return [*map(list, self._others), value]


def after(*steps):
    recent = RecentSteps(Reached(steps[0]))
    for step in steps[1:]:
        recent.remember(Reached(step, loss=step / 10))
    return recent


@pytest.mark.parametrize(
    ("mine", "others", "common"),
    [
        ([7], [[7]], 7),
        ([6, 7], [[6, 7], [6, 7]], 7),
        ([6, 7], [[5, 6], [6, 7]], 6),  # This rank is a step ahead.
        ([5, 6], [[6, 7]], 6),  # It is a step behind.
        ([4, 5, 6, 7], [[5, 6]], 6),  # Of its steps, the last two.
        ([4, 5, 6, 7], [[4, 5]], None),  # Two steps apart.
        ([6, 7], [[5]], None),  # Another rank has gone back to an earlier step.
        ([5], [[6, 7]], None),
        ([6, 7], [[6, 7], [5]], None),
    ],
)
def test_the_newest_step_of_the_rank_that_is_furthest_behind_is_common(mine, others, common):
    found = after(*mine).common(Ranks(*others))
    assert (found and found.step) == common


def test_what_was_remembered_comes_back_as_it_was_then():
    progress = Reached(1, 0.1)
    recent = RecentSteps(progress)
    progress.step, progress.loss = 2, 0.2
    recent.remember(progress)
    progress.step, progress.loss = 3, 0.3  # A step that does not count yet.
    assert recent.common(LocalGroup()) == Reached(2, 0.2)
    found = recent.common(Ranks([0, 1]))
    assert found == Reached(1, 0.1)
    found.loss = 0.9  # Training goes on with it; a later loss must find it unchanged.
    assert recent.common(Ranks([0, 1])) == Reached(1, 0.1)
