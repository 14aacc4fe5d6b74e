"""Learning-rate schedules: step -> learning rate.

A schedule is a pure function of the step, which counts from 0. It keeps no state, so a resumed job has none to restore.
A warm-up may precede any schedule, which then counts its steps from the end of the warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]
"""Step (from 0) -> learning rate."""


@dataclass(frozen=True)
class Constant:
    """The same learning rate at every step."""

    learning_rate: float

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`, from 0."""
        return self.learning_rate


@dataclass(frozen=True)
class StepDecay:
    """The learning rate is multiplied by `factor` after every `every_steps` steps; torch's StepLR."""

    learning_rate: float
    every_steps: int
    factor: float

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`, from 0."""
        return self.learning_rate * self.factor ** (step // self.every_steps)


@dataclass(frozen=True)
class Cosine:
    """Half a wave of the cosine, from `learning_rate` at step 0 to `min_learning_rate` at step `num_steps`.

    The last of `num_steps` steps comes one before that end; from the end on the rate stays at the minimum.

    Source: Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, without
    restarts; torch's CosineAnnealingLR with T_max = num_steps.
    """

    learning_rate: float
    min_learning_rate: float
    num_steps: int

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`, from 0."""
        if step >= self.num_steps:
            return self.min_learning_rate
        height = (1 + math.cos(math.pi * step / self.num_steps)) / 2
        return self.min_learning_rate + (self.learning_rate - self.min_learning_rate) * height


@dataclass(frozen=True)
class Warmup:
    """Grows in equal steps to `learning_rate`, reached at the last of `num_steps` steps; then follows `then`.

    At first the parameters are random and the optimizer's moments unreliable, so large steps do harm (Goyal et al.,
    "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, section 2.2).
    """

    learning_rate: float
    num_steps: int
    then: Schedule

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`, from 0."""
        if step < self.num_steps:
            return self.learning_rate * (step + 1) / self.num_steps
        return self.then(step - self.num_steps)


def make_schedule(
    name: str,
    *,
    learning_rate: float,
    total_steps: int,
    warmup_steps: int,
    every_steps: int,
    factor: float,
    min_learning_rate: float,
) -> Schedule:
    """The schedule called `name`, "constant", "step" or "cosine", after a linear warm-up.

    Args:
        name: of the schedule that follows the warm-up.
        learning_rate: the highest one, reached at the end of the warm-up.
        total_steps: steps of the whole job, with the warm-up. A warm-up may be longer and is then never finished.
        warmup_steps: steps of the warm-up, 0 for none.
        every_steps: of "step", at least 1: steps between two drops.
        factor: of "step", in (0, 1]: what a drop multiplies the rate by.
        min_learning_rate: of "cosine".
    """
    assert warmup_steps >= 0
    schedules: dict[str, Callable[[], Schedule]] = {
        "constant": lambda: Constant(learning_rate),
        "step": lambda: StepDecay(learning_rate, every_steps, factor),
        "cosine": lambda: Cosine(learning_rate, min_learning_rate, total_steps - warmup_steps),
    }
    schedule = schedules[name]()
    return Warmup(learning_rate, warmup_steps, schedule) if warmup_steps else schedule
