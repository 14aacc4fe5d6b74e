"""The parts that a training is made of."""

from __future__ import annotations

from dataclasses import dataclass

from dpnet.compute.arrays import Vector
from dpnet.nn.layout import Layout
from dpnet.parallel.evaluate import Evaluator
from dpnet.parallel.exchange import Exchange
from dpnet.parallel.local_sgd import LocalTrainer
from dpnet.parallel.plan import Plan
from dpnet.parallel.step import Trainer
from dpnet.resilience.pace import Pace
from dpnet.state.banks import State


@dataclass(frozen=True)
class Parts:
    """The parts of a training. All are built anew after a loss and after a rollback.

    Attributes:
        trainer: takes steps.
        evaluator: computes scores during the training, on the validation data, or on the test data if there are no
            others; None if evaluation is off or there are neither.
        tester: computes the test scores at the end; None if evaluation is off, there are no test data, or `evaluator`
            takes them.
        eval_split: "validation" or "test": which data `evaluator` takes.
        layout: of the flat vectors.
        total_steps: of the training.
        memory: where parameters and optimizer vectors lie, in words.
        exchange: what travels between nodes in a step.
        board: the whereabouts of this node's ranks, in memory that they share.
        node_ranks: these ranks.
        stragglers: finds what slows the training down: other programs, or a rank that the others wait for.
    """

    trainer: Trainer | LocalTrainer
    evaluator: Evaluator | None
    tester: Evaluator | None
    eval_split: str
    layout: Layout
    total_steps: int
    memory: str
    exchange: Exchange
    board: Vector
    node_ranks: range
    stragglers: Pace

    @property
    def chooses(self) -> bool:
        """Whether evaluations choose the best parameters and end the training: those of test data never do."""
        return self.eval_split == "validation"

    @property
    def plan(self) -> Plan:
        """Which samples each step takes."""
        return self.trainer.plan

    @property
    def state(self) -> State:
        """Parameters and optimizer vectors."""
        return self.trainer.state
