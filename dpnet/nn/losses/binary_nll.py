"""Sigmoid and binary negative log-likelihood (binary cross-entropy), as one function with one gradient.

A sample may have any of K labels, several or none. The last layer computes one number per label, the logit z, and the
sigmoid makes the probability of that label of it:

    p = 1 / (1 + exp(-z))        1 - p = 1 / (1 + exp(z))

Every label is a question of its own, yes or no, t = 1 or t = 0: no p depends on the logit of another label, and those
of a sample need not sum to 1. It is the softmax of the two logits z and 0.

**Sigmoid and logarithm cancel.** The loss of one label is the negative log of the probability of the right answer,

    L = -log p = log(1 + exp(-z))           if t = 1
    L = -log(1 - p) = log(1 + exp(z))       if t = 0

With the sign s = 1 - 2 t, which is -1 and 1, and u = s z, how far the logit is on the wrong side, both are

    L = log(1 + exp(u))                                                                        (1)
    dL/dz = s exp(u) / (1 + exp(u)) = s exp(u - L)                                             (2)

The first form of (2) is s times the sigmoid of u: p - 1 for a label that the sample has, p for one that it has not,
p - t in all. It lies between -1 and 1 however large the logit, and it does not vanish where the answer is wrong: the
slope p (1 - p) of the sigmoid, which would, has cancelled with the 1 / p of the logarithm.

**Stability.** exp(u) overflows for a large u, and log p is that of 0 once p underflows. With log(1 + exp(u)) =
u + log(1 + exp(-u)) the exponent can always be the negative one:

    L = u / 2 + |u| / 2 + log(1 + exp(-|u|))                                                   (3)

Nothing overflows, and the logarithm is that of a number from 1 to 2. In (2) u - L is at most 0, and where p is so near
to t that 1 - p rounds to 0, what is left of the gradient is not a difference of two numbers near 1.

**The mean.** The loss of a sample is the mean over its K labels, and the gradients are divided by K: the mean over the
samples of a step then is that over all its samples and labels, as in PyTorch's BCEWithLogitsLoss. scikit-learn's
MLPClassifier sums over the labels: its loss and its gradient are K times these.

**Weights.** A sample of weight w counts as w samples: its loss, its gradient and its hit are multiplied by w. A weight
of 0 leaves it out.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, Targets, Vector, aligned_zeros


class BinaryNLL:
    """Binary negative log-likelihood of sigmoids, its gradient, and the hits, for one batch at a time.

    Args:
        max_rows: most rows of a call.
        labels: number of labels, K of the module's text.
        dtype: float32 or float64, of the logits.
    """

    has_kink: ClassVar[bool] = False
    """See Loss: it is smooth."""

    def __init__(self, max_rows: int, labels: int, dtype: npt.DTypeLike) -> None:
        self._labels = labels
        self._buffers = [aligned_zeros((max_rows, labels), dtype) for _ in range(4)]
        self._of_rows = aligned_zeros(max_rows, np.float64)
        self._wrong, self._wrong_rows = np.zeros((max_rows, labels), np.bool_), np.zeros(max_rows, np.bool_)

    def __call__(
        self, outputs: Matrix, targets: Targets, scale: float, weights: Vector | None = None
    ) -> tuple[float, float]:
        """Binary negative log-likelihood summed over the batch, in nats, and the number of samples without a mistake.

        Args:
            outputs: (rows, labels) the logits, C order. Overwritten with d loss / d logits = (sigmoid - targets) *
                scale / labels.
            targets: (rows, labels) bool, which labels a sample has.
            scale: factor on the gradient, 1 / global number of samples in this step, or 1 / their weight. Nothing else
                is ever divided by a number of samples: all later sums, over rows, shards and ranks, are plain sums.
            weights: (rows,) float64, each at least 0: how much a row counts; None: each counts as 1.

        Returns:
            The loss, the mean over the labels of a row, summed over the rows in float64 and not multiplied by scale;
            and the hits: rows all of whose labels are right, where a logit above 0 says that there is the label. Both
            are 0 without rows. The loss is not finite if a logit is not. With weights both are sums of weighted rows.
        """
        rows = len(outputs)
        signs, losses, work, upper = (buffer[:rows] for buffer in self._buffers)
        wrong, wrong_rows, of_rows = self._wrong[:rows], self._wrong_rows[:rows], self._of_rows[:rows]
        np.greater(outputs, 0, out=wrong)
        np.not_equal(wrong, targets, out=wrong)
        np.logical_or.reduce(wrong, axis=1, out=wrong_rows)
        np.multiply(targets, -2, out=signs, dtype=signs.dtype)
        np.add(signs, 1, out=signs)
        np.multiply(outputs, signs, out=outputs)  # u
        np.abs(outputs, out=losses)
        np.multiply(outputs, 0.5, out=work)
        np.multiply(losses, 0.5, out=upper)
        np.add(work, upper, out=work)  # Halves of the largest numbers do not overflow.
        np.negative(losses, out=losses)
        np.exp(losses, out=losses)
        np.log1p(losses, out=losses)
        np.add(losses, work, out=losses)  # (3); infinity - infinity is NaN, of a logit that is infinite and right, too
        np.subtract(outputs, losses, out=outputs)
        np.exp(outputs, out=outputs)
        np.multiply(outputs, signs, out=outputs)  # (2)
        np.add.reduce(losses, axis=1, dtype=np.float64, out=of_rows)
        if weights is None:
            np.multiply(outputs, scale / self._labels, out=outputs)
            hits = float(rows - np.count_nonzero(wrong_rows))
        else:
            np.multiply(of_rows, weights, out=of_rows)
            # At most 1 each, while 1 / the weight of a batch may be more than float32 holds.
            outputs *= (weights * scale / self._labels).astype(outputs.dtype)[:, np.newaxis]
            hits = float(np.add.reduce(weights, where=~wrong_rows))
        return float(np.add.reduce(of_rows)) / self._labels, hits


def sigmoid(logits: Matrix) -> None:
    """Turns logits (rows, labels) into probabilities, in place; for prediction.

    One is above 1/2 if and only if its logit is above 0: of a tiny logit it would be rounded to 1/2.
    """
    half = logits.dtype.type(0.5)
    above, tail = logits > 0, np.exp(-np.abs(logits))
    np.divide(np.where(above, 1, tail), 1 + tail, out=logits, casting="same_kind")
    np.maximum(logits, np.nextafter(half, half + half), out=logits, where=above)
