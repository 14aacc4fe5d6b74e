"""A layer: a linear map and an activation, forward and back, written into buffers that are made once.

Backpropagation is the chain rule from the loss towards the input. Each layer is handed da = d loss / d a of its own
output and answers two questions: how does the loss move with my parameters, and how does it move with my input? The
second answer is the da of the layer below.
"""

from __future__ import annotations

import numpy.typing as npt

from dpnet.arrays import Matrix, Vector, aligned_zeros
from dpnet.blas.products import Products
from dpnet.kernels.choose import Loops
from dpnet.nn.activations import Activation


class Layer:
    """a = f(z), z = x W + b, for a batch of rows.

    It owns its output and the gradient of its input, no parameters: those are handed in at each call, because they live
    in memory that others share and swap.

    Args:
        max_rows: most rows that a call will bring.
        num_inputs: columns of x.
        num_outputs: columns of a.
        activation: f.
        dtype: float32 or float64, of every array.
        products: matrix products.
        loops: element-wise work.

    Attributes:
        a: (rows, num_outputs), the output of the last forward.
        activation: f.
    """

    def __init__(
        self,
        max_rows: int,
        num_inputs: int,
        num_outputs: int,
        activation: type[Activation],
        dtype: npt.DTypeLike,
        products: Products,
        loops: Loops,
    ) -> None:
        self._max_a = aligned_zeros((max_rows, num_outputs), dtype)
        # Where dx is never asked for, as in the first layer, these zeros are never touched and cost no real memory.
        self._max_dx = aligned_zeros((max_rows, num_inputs), dtype)
        self._products = products
        self.activation = activation(max_rows, num_outputs, dtype, loops)
        self._cut(0)
        self._x = self._dx

    def _cut(self, rows: int) -> None:
        self.a, self._dx = self._max_a[:rows], self._max_dx[:rows]

    def forward(self, x: Matrix, weight: Matrix, bias: Vector) -> Matrix:
        """The output, a view into the layer's own buffer that the next call overwrites.

        Args:
            x: (rows, num_inputs), at most max_rows rows. Backward reads it again: leave it as it is until then.
            weight: (num_inputs, num_outputs).
            bias: (num_outputs,).
        """
        assert len(x) <= len(self._max_a), (len(x), len(self._max_a))
        if len(x) != len(self.a):
            self._cut(len(x))
        self._x = x
        self._products(x, weight, self.a)
        self.activation.forward(self.a, bias)
        return self.a

    def backward(
        self, da: Matrix, weight: Matrix, dweight: Matrix, dbias: Vector, *, need_dx: bool = True
    ) -> Matrix | None:
        """The gradient of the last forward's parameters and, if needed, of its input.

        First dz = da f'(z), see `activations`. Then, element by element: `z[n, o] = sum_i x[n, i] weight[i, o] +
        bias[o]`. So weight[i, o] moves z[n, o] by x[n, i] in every row n, and x[n, i] moves z[n, o] by weight[i, o] for
        every output o. Multiplied by dz[n, o] and summed over what each of them reaches:

            dbias[o]      = sum_n dz[n, o]                  dbias   = column sums of dz
            dweight[i, o] = sum_n x[n, i] dz[n, o]          dweight = x^T dz
            dx[n, i]      = sum_o dz[n, o] weight[i, o]     dx      = dz weight^T

        The sums over rows are plain sums. The division by the number of samples happened once, in the loss.

        Args:
            da: (rows, num_outputs) d loss / d a. Overwritten with d loss / d z.
            weight: (num_inputs, num_outputs), the same as in forward.
            dweight: (num_inputs, num_outputs), overwritten; zeros if there are no rows.
            dbias: (num_outputs,), overwritten; zeros if there are no rows.
            need_dx: the first layer's input is data, which nobody moves: its dx would be the costliest product of
                all for nothing.

        Returns:
            (rows, num_inputs) d loss / d x, a view into the layer's own buffer, or None if not needed.
        """
        dz = da
        self.activation.backward(self.a, dz, dbias)
        self._products(self._x, dz, dweight, transpose_a=True)
        if not need_dx:
            return None
        self._products(dz, weight, self._dx, transpose_b=True)
        return self._dx
