"""The interface of a loss: what the training, the scores and the gradient check know of it."""

from __future__ import annotations

from typing import ClassVar, Protocol

from dpnet.compute.arrays import Matrix, Targets, Vector


class Loss(Protocol):
    """The end of a network.

    Attributes:
        has_kink: there is a difference of output and target at which it has no derivative.
    """

    has_kink: ClassVar[bool]

    def __call__(
        self, outputs: Matrix, targets: Targets, scale: float, weights: Vector | None = None
    ) -> tuple[float, float]:
        """The loss of some rows, and how well they do in another measure; both summed over the rows.

        Args:
            outputs: (rows, outputs), C order. Overwritten with d loss / d outputs * scale.
            targets: what the network should give for each row.
            scale: factor on the gradient.
            weights: (rows,) float64, how much each row counts; None: each counts as 1.

        Returns:
            the loss, and the measure: the hits of a classifier, the absolute error of numbers, or the samples all of
            whose labels are right.
        """
