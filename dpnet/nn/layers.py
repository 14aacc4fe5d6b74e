"""A layer: a linear map and an activation, forward and back, written into buffers that are made once.

A layer does not compute: it returns the calls that do, bound to their arrays. A training brings the same few arrays in
every step, so the calls are put together once and made as often as needed (see `passes`).

Backpropagation is the chain rule from the loss towards the input. Each layer is handed da = d loss / d a of its own
output and answers two questions: how does the loss move with my parameters, and how does it move with my input? The
second answer is the da of the layer below.
"""

from __future__ import annotations

from collections.abc import Callable

from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.loops.interface import Loops
from dpnet.compute.products.interface import Products
from dpnet.nn.activations import Activation

Call = Callable[[], object]


class Layer:
    """a = f(z), z = x W + b, for a batch of rows.

    It works on rows of two buffers that it is given. Parameters come with each call, because they live in memory that
    others share and swap.

    Args:
        a: (max_rows, num_outputs), C order, for the output; float32 or float64, as every array.
        dx: (max_rows, num_inputs), C order, for the gradient of the input; None where it is not needed.
        activation: f.
        products: matrix products.
        loops: element-wise work.
    """

    def __init__(
        self, a: Matrix, dx: Matrix | None, activation: type[Activation], products: Products, loops: Loops
    ) -> None:
        self._a, self._dx = a, dx
        self._products = products
        self._activation = activation(a.shape[0], a.shape[1], a.dtype, loops)

    def forward(self, x: Matrix, weight: Matrix, bias: Vector, *, first: int = 0) -> tuple[list[Call], Matrix]:
        """The calls that compute the output, and the output: (rows, num_outputs), a view into the buffer.

        Args:
            x: (rows, num_inputs), C order. Leave it as it is until the weight's gradient is there.
            weight: (num_inputs, num_outputs).
            bias: (num_outputs,).
            first: row of the buffers in which the first row of `x` belongs.
        """
        assert first + len(x) <= len(self._a), (first, len(x), len(self._a))
        a = self._a[first : first + len(x)]
        return [self._products.bind(x, weight, a), self._activation.forward(a, bias)], a

    def backward(
        self, a: Matrix, da: Matrix, weight: Matrix, dbias: Vector, *, first: int = 0
    ) -> tuple[Callable[[], bool], Call | None, Matrix | None]:
        """The calls that compute the gradient of the bias and, where there is a buffer for it, of the input.

        First dz = da f'(z), see `activations`. Then, element by element: `z[n, o] = sum_i x[n, i] weight[i, o] +
        bias[o]`. So weight[i, o] moves z[n, o] by x[n, i] in every row n, and x[n, i] moves z[n, o] by weight[i, o] for
        every output o. Multiplied by dz[n, o] and summed over what each of them reaches:

            dbias[o]      = sum_n dz[n, o]                  dbias   = column sums of dz
            dx[n, i]      = sum_o dz[n, o] weight[i, o]     dx      = dz weight^T
            dweight[i, o] = sum_n x[n, i] dz[n, o]          dweight = x^T dz           (see weight_gradient)

        The sums over rows are plain sums. The division by the number of samples happened once, in the loss.

        Args:
            a: the output that forward made.
            da: (rows, num_outputs) d loss / d a. Overwritten with dz = d loss / d z; leave that as it is until the
                weight's gradient is there.
            weight: (num_inputs, num_outputs), the same as in forward.
            dbias: (num_outputs,), overwritten; zeros if there are no rows.
            first: as in forward.

        Returns:
            the call that goes back through the activation: it computes dz and dbias, and returns whether dbias is
            finite; the call that goes back through the weights: it computes dx = d loss / d x; and dx (rows,
            num_inputs), a view into the buffer. The last two are None in the first layer: its input is data, and dx
            would be the costliest product of all for nothing.
        """
        through_activation = self._activation.backward(a, da, dbias)
        if self._dx is None:
            return through_activation, None, None
        dx = self._dx[first : first + len(a)]
        through_weights = self._products.bind(da, weight, dx, transpose_b=True)
        return through_activation, through_weights, dx

    def weight_gradient(self, x: Matrix, dz: Matrix, dweight: Matrix) -> Call:
        """The call that computes the weight's gradient, x^T dz.

        Args:
            x: as in forward.
            dz: what backward left.
            dweight: (num_inputs, num_outputs), C order, overwritten; zeros if there are no rows.
        """
        return self._products.bind(x, dz, dweight, transpose_a=True)
