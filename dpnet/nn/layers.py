"""The linear layer: two matrix products forward and back, written into buffers that are made once.

Backpropagation is the chain rule from the loss towards the input. Each layer is handed dy = d loss / d y of its own
output and answers two questions: how does the loss move with my parameters, and how does it move with my input? The
second answer is the dy of the layer below.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Matrix, Vector, aligned_zeros


class Linear:
    """y = x W^T + b for a batch of rows.

    It owns its output and the gradient of its input, no parameters: those are handed in at each call, because they live
    in memory that others share and swap.

    Args:
        max_rows: most rows that a call will bring.
        num_inputs: columns of x.
        num_outputs: columns of y.
        dtype: float32 or float64, of every array.

    Attributes:
        y: (rows, num_outputs), the output of the last forward, as it is now: an activation may have overwritten it.
    """

    def __init__(self, max_rows: int, num_inputs: int, num_outputs: int, dtype: npt.DTypeLike) -> None:
        self._y = aligned_zeros((max_rows, num_outputs), dtype)
        # Where dx is never asked for, as in the first layer, these zeros are never touched and cost no real memory.
        self._dx = aligned_zeros((max_rows, num_inputs), dtype)
        self._x = self._dx[:0]
        self.y = self._y[:0]

    def forward(self, x: Matrix, weight: Matrix, bias: Vector) -> Matrix:
        """The output, a view into the layer's own buffer that the next call overwrites.

        Args:
            x: (rows, num_inputs), at most max_rows rows. Backward reads it again: leave it as it is until then.
            weight: (num_outputs, num_inputs).
            bias: (num_outputs,).
        """
        assert len(x) <= len(self._y), (len(x), len(self._y))
        self._x = x
        self.y = self._y[: len(x)]
        np.matmul(x, weight.T, out=self.y)
        self.y += bias
        return self.y

    def backward(
        self, dy: Matrix, weight: Matrix, dweight: Matrix, dbias: Vector, *, need_dx: bool = True
    ) -> Matrix | None:
        """The gradient of the last forward's parameters and, if needed, of its input.

        Element by element: `y[n, o] = sum_i x[n, i] weight[o, i] + bias[o]`. So weight[o, i] moves y[n, o] by x[n, i]
        in every row n, and x[n, i] moves y[n, o] by weight[o, i] for every output o. Multiplied by dy[n, o] and
        summed over what each of them reaches:

            dweight[o, i] = sum_n dy[n, o] x[n, i]          dweight = dy^T x
            dbias[o]      = sum_n dy[n, o]                  dbias   = column sums of dy
            dx[n, i]      = sum_o dy[n, o] weight[o, i]     dx      = dy weight

        The sums over rows are plain sums. The division by the number of samples happened once, in the loss.

        Args:
            dy: (rows, num_outputs) d loss / d y.
            weight: (num_outputs, num_inputs), the same as in forward.
            dweight: (num_outputs, num_inputs), overwritten; zeros if there are no rows.
            dbias: (num_outputs,), overwritten; zeros if there are no rows.
            need_dx: the first layer's input is data, which nobody moves: its dx would be the costliest product of
                all for nothing.

        Returns:
            (rows, num_inputs) d loss / d x, a view into the layer's own buffer, or None if not needed.
        """
        np.matmul(dy.T, self._x, out=dweight)
        np.sum(dy, axis=0, out=dbias)
        if not need_dx:
            return None
        return np.matmul(dy, weight, out=self._dx[: len(dy)])
