"""A layer: a linear map and an activation, forward and back, written into buffers that are made once.

So are the calls that do it. A training comes with the same few arrays in every step; what is to be called for them,
with all arguments, is put together the first time and kept. Of a small network's step this saves a twentieth.

Backpropagation is the chain rule from the loss towards the input. Each layer is handed da = d loss / d a of its own
output and answers two questions: how does the loss move with my parameters, and how does it move with my input? The
second answer is the da of the layer below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dpnet.arrays import Matrix, Vector
from dpnet.blas.products import Products
from dpnet.kernels.choose import Loops
from dpnet.nn.activations import Activation

MAX_KEPT = 256
"""Kinds of calls that are kept. A training has one to four: two banks of parameters, and a shorter last batch."""

Call = Callable[[], object]


class Layer:
    """a = f(z), z = x W + b, for a batch of rows.

    It works on rows of two buffers that it is given, and never on parameters of its own: those are handed in at each
    call, because they live in memory that others share and swap.

    Args:
        a: (max_rows, num_outputs), C order, for the output; float32 or float64, as every array.
        dx: (max_rows, num_inputs), C order, for the gradient of the input; None where nobody asks for it.
        activation: f.
        products: matrix products.
        loops: element-wise work.

    Attributes:
        a: (rows, num_outputs), the output of the last forward.
        finite: whether the gradient of the bias was, in the last backward; so was dz then.
        activation: f.
    """

    def __init__(
        self, a: Matrix, dx: Matrix | None, activation: type[Activation], products: Products, loops: Loops
    ) -> None:
        self._buffers = a, dx
        self._products = products
        self.activation = activation(a.shape[0], a.shape[1], a.dtype, loops)
        self._views: dict[tuple[int, int], tuple[Matrix, Matrix | None]] = {}
        # By the ids of arrays. They are kept as well: while they live, nothing else has their ids.
        self._forward: dict[tuple[int, ...], tuple[Call, Call, Matrix, Matrix | None, Any]] = {}
        self._backward: dict[tuple[int, ...], tuple[Callable[[], bool], Call | None, Any]] = {}
        self._gradient: dict[tuple[int, ...], tuple[Call, Any]] = {}
        self.a, self._dx = self._rows(0, 0)
        self._x = self._dz = self.a
        self.finite = True

    def _rows(self, first: int, count: int) -> tuple[Matrix, Matrix | None]:
        """Some rows of both buffers; each view is made once."""
        if (first, count) not in self._views:
            a, dx = self._buffers
            assert first + count <= len(a), (first, count, len(a))
            rows = slice(first, first + count)
            self._views[first, count] = a[rows], None if dx is None else dx[rows]
        return self._views[first, count]

    def forward(self, x: Matrix, weight: Matrix, bias: Vector, *, first: int = 0) -> Matrix:
        """The output, a view into the buffer that the next call for the same rows overwrites.

        Args:
            x: (rows, num_inputs), C order. Backward reads it again: leave it as it is until then.
            weight: (num_inputs, num_outputs).
            bias: (num_outputs,).
            first: row of the buffers in which the first row of `x` belongs.
        """
        key = id(x), id(weight), id(bias), first
        if key not in self._forward:
            a, dx = self._rows(first, len(x))
            calls = self._products.bind(x, weight, a), self.activation.forward(a, bias)
            _keep(self._forward, key, (*calls, a, dx, (x, weight, bias)))
        multiply, bend, self.a, self._dx, _ = self._forward[key]
        self._x = x
        multiply()
        bend()
        return self.a

    def backward(self, da: Matrix, weight: Matrix, dbias: Vector) -> Matrix | None:
        """The gradient of the last forward's bias and, where there is a buffer for it, of its input.

        First dz = da f'(z), see `activations`. Then, element by element: `z[n, o] = sum_i x[n, i] weight[i, o] +
        bias[o]`. So weight[i, o] moves z[n, o] by x[n, i] in every row n, and x[n, i] moves z[n, o] by weight[i, o] for
        every output o. Multiplied by dz[n, o] and summed over what each of them reaches:

            dbias[o]      = sum_n dz[n, o]                  dbias   = column sums of dz
            dx[n, i]      = sum_o dz[n, o] weight[i, o]     dx      = dz weight^T
            dweight[i, o] = sum_n x[n, i] dz[n, o]          dweight = x^T dz           (see weight_gradient)

        The sums over rows are plain sums. The division by the number of samples happened once, in the loss.

        Args:
            da: (rows, num_outputs) d loss / d a. Overwritten with d loss / d z; leave it as it is until
                `weight_gradient` is done.
            weight: (num_inputs, num_outputs), the same as in forward.
            dbias: (num_outputs,), overwritten; zeros if there are no rows.

        Returns:
            (rows, num_inputs) d loss / d x, a view into the buffer; None where there is none. The first layer has none:
            its input is data, which nobody moves, and dx would be the costliest product of all for nothing.
        """
        key = id(self.a), id(da), id(weight), id(dbias)
        if key not in self._backward:
            multiply = None if self._dx is None else self._products.bind(da, weight, self._dx, transpose_b=True)
            unbend = self.activation.backward(self.a, da, dbias)
            _keep(self._backward, key, (unbend, multiply, (da, weight, dbias)))
        unbend, multiply, _ = self._backward[key]
        self._dz = da
        self.finite = unbend()
        if multiply is not None:
            multiply()
        return self._dx

    def weight_gradient(self, dweight: Matrix) -> None:
        """The gradient of the last backward's weight, x^T dz.

        Args:
            dweight: (num_inputs, num_outputs), C order, overwritten; zeros if there are no rows.
        """
        key = id(self._x), id(self._dz), id(dweight)
        if key not in self._gradient:
            arrays = self._x, self._dz, dweight
            _keep(self._gradient, key, (self._products.bind(*arrays, transpose_a=True), arrays))
        self._gradient[key][0]()


def _keep(kept: dict[tuple[int, ...], Any], key: tuple[int, ...], value: Any) -> None:
    if len(kept) >= MAX_KEPT:
        kept.clear()
    kept[key] = value
