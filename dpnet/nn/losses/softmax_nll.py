"""Softmax and negative log-likelihood, as one function with one gradient.

The last layer computes one number per class, the logits z. Softmax makes probabilities of them:

    p_i = exp(z_i) / S        S = sum_j exp(z_j)

It sees only differences of logits: adding c to all of them multiplies exp(z_i) and S by the same exp(c).

**Softmax is not one more activation.** An activation works on each unit alone and has one derivative per unit; every
p_i depends on every z_j, so its derivative is a whole matrix, dp_i/dz_j = p_i ([i = j] - p_j). That matrix is never
needed: the loss of a row with label c is

    L = -log p_c = -log(exp(z_c) / S) = log S - z_c                                            (1)

and the exponential and the logarithm of the label's own term have cancelled. Its gradient, with y the one-hot row of
the label (y_c = 1, else 0):

    d log S / d z_i = (1 / S) dS/dz_i = exp(z_i) / S = p_i
    d z_c   / d z_i = 1 if i = c else 0              = y_i
    d L     / d z_i = p_i - y_i                                                                (2)

**Here the labels enter the gradient**, and nowhere else: every class is pushed down by its probability, the right one
is pushed up by 1, and the pushes of a row sum to 0. Each lies between -1 and 1, however large the logits. Layer by
layer, softmax's matrix would instead be multiplied by dL/dp_c = -1 / p_c, a division by 0 once p_c underflows; (2) is
the same product with that division done on paper.

**Stability (log-sum-exp).** Because softmax sees only differences, each row's maximum is subtracted first. The
largest exponent is then exp(0) = 1: nothing overflows, S >= 1, log S is finite, and (1) never takes the logarithm of
0. A label whose p underflows to 0 still costs its true log S - z_c.

**Label smoothing** trains towards t in place of y: of K classes each gets the share e / K of the label, and the label
keeps the rest, so that no logit has to grow without end (C. Szegedy et al., "Rethinking the Inception Architecture for
Computer Vision", 2016, section 7). The t_i of a row sum to 1 as the y_i do, so (1) and (2) become

    t_i = (1 - e) y_i + e / K
    L = sum_i t_i (log S - z_i) = log S - ((1 - e) z_c + e / K sum_i z_i)                      (3)
    d L / d z_i = p_i - t_i                                                                    (4)

**Weights.** A row of weight w counts as w rows: its loss, its gradient and its hit are multiplied by w. A weight of 0
leaves the row out. With label smoothing too, w is one number for the row, as in Keras; PyTorch instead weighs each term
of (3) by the weight of its own class.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Labels, Matrix, Targets, Vector, aligned_zeros
from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Loops
from dpnet.errors import DataError


class SoftmaxNLL:
    """Negative log-likelihood of a softmax, its gradient, and the hits, for one batch at a time.

    Args:
        max_rows: most rows of a call.
        classes: number of classes.
        dtype: float32 or float64, of the logits.
        loops: element-wise work.
        smoothing: e of the module's text, at least 0 and below 1: how much of a label is spread over all classes.
    """

    has_kink: ClassVar[bool] = False
    """See Loss: it is smooth."""

    def __init__(
        self, max_rows: int, classes: int, dtype: npt.DTypeLike, loops: Loops = reference, *, smoothing: float = 0.0
    ) -> None:
        self._classes, self._smoothing = classes, smoothing
        self._loops = loops
        self._at_label, self._total = aligned_zeros(max_rows, dtype), aligned_zeros(max_rows, np.float64)
        self._views: dict[int, tuple[Vector, Vector]] = {}

    def __call__(
        self, outputs: Matrix, targets: Targets, scale: float, weights: Vector | None = None
    ) -> tuple[float, float]:
        """Negative log-likelihood summed over the batch, in nats, and the number of correct guesses.

        Args:
            outputs: (rows, classes) the logits, C order. Overwritten with d loss / d logits = (softmax - onehot) *
                scale, or (softmax - t) * scale with label smoothing.
            targets: (rows,) int64, the labels, in [0, classes).
            scale: factor on the gradient, 1 / global number of samples in this step, or 1 / their weight. Nothing else
                is ever divided by a number of samples: all later sums, over rows, shards and ranks, are plain sums.
            weights: (rows,) float64, each at least 0: how much a row counts; None: each counts as 1.

        Returns:
            The loss, summed over the rows in float64 and not multiplied by scale; and the hits: rows whose largest
            logit, the first of equal ones, is the label's. Both are 0 without rows. The loss is NaN if any logit is NaN
            or plus infinity. With weights both are sums of weighted rows.

        Raises:
            DataError: a label lies outside [0, classes).
        """
        logits, labels = outputs, targets
        rows, loops = len(logits), self._loops
        if rows not in self._views:
            self._views[rows] = self._at_label[:rows], self._total[:rows]
        at_label, total = self._views[rows]
        right = None if weights is None else logits.argmax(axis=1) == labels
        hits = loops.softmax_shift(logits, labels, at_label)
        if hits < 0:
            self._refuse(labels)
        if self._smoothing:
            self._mix(logits, at_label)
        np.exp(logits, logits)
        of_all = scale if weights is None else 1.0
        loops.softmax_gradient(logits, labels, total, of_all)  # (2): p - y
        if self._smoothing:
            self._spread(logits, labels, of_all)
        np.log(total, total)
        if weights is None or right is None:
            return loops.softmax_loss(total, at_label), hits  # (1): log S - z_c
        # At most 1 each, while 1 / the weight of a batch may be more than float32 holds.
        logits *= (weights * scale).astype(logits.dtype)[:, np.newaxis]
        total -= at_label
        total *= weights
        return float(np.add.reduce(total)), float(np.add.reduce(weights * right))

    def _mix(self, logits: Matrix, at_label: Vector) -> None:
        """Put (1 - e) z_c + e / K sum_i z_i, as in (3), in the place of z_c."""
        of_all = np.add.reduce(logits, axis=1)
        of_all *= self._smoothing / self._classes
        at_label *= 1 - self._smoothing
        at_label += of_all

    def _spread(self, gradient: Matrix, labels: Labels, scale: float) -> None:
        """Make (4) of (2): p - t = p - y + e y - e / K."""
        gradient -= self._smoothing / self._classes * scale
        gradient[np.arange(len(labels)), labels] += self._smoothing * scale

    def _refuse(self, labels: Labels) -> NoReturn:
        wrong = labels[(labels < 0) | (labels >= self._classes)][0]
        raise DataError(
            f"a label is {wrong}; this network has {self._classes} classes, so labels must lie in "
            f"0..{self._classes - 1}. Number the classes of the data from 0, or use a network with more classes."
        )


def softmax(logits: Matrix) -> None:
    """Turns logits (rows, classes) into probabilities, in place; for prediction."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
