"""The network: linear layers with an activation after each but the last.

    x -> Linear -> f -> Linear -> f -> ... -> Linear -> logits          forward
    dweight, dbias of every layer  <-  ...  <-  dlogits                 backward, the same way in reverse

It owns the activations, never the parameters: those are views into a flat vector that can be another one at every call,
because parameters live in banks that swap and gradients go to changing buffers.

Backward is two things. `propagate` goes from layer to layer and leaves dz = d loss / d z of each, which needs the one
above it. What is left, dweight = x^T dz, each layer does by itself, in any order. A sum over samples is all it is: so
several networks that share their buffers, each with rows of its own, can have it done for all their rows at once (see
`reduce.joint`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Matrix, Vector, Zeros, aligned_zeros
from dpnet.blas.products import NUMPY, Products
from dpnet.kernels import spec
from dpnet.kernels.choose import Loops
from dpnet.nn.activations import ACTIVATIONS, Activation, Identity
from dpnet.nn.layers import Layer
from dpnet.nn.layout import Layout, Views


class MLP:
    """A feed-forward network for batches of up to `max_rows` samples. All its memory is taken here, none per call.

    Args:
        layout: the widths; without hidden layers this is softmax regression.
        activation: a name in `ACTIVATIONS`, of every hidden layer.
        max_rows: rows of its buffers.
        dtype: float32 or float64, of every array.
        products: matrix products.
        loops: element-wise work.
        zeros: gives the buffers: a vector of so many zeros of a dtype.

    Attributes:
        layers: from the input to the logits.
    """

    def __init__(
        self,
        layout: Layout,
        activation: str,
        *,
        max_rows: int,
        dtype: npt.DTypeLike = np.float32,
        products: Products = NUMPY,
        loops: Loops = spec,
        zeros: Zeros = aligned_zeros,
    ) -> None:
        # Nothing bends the logits: softmax belongs to the loss, see there.
        activations: list[type[Activation]] = [*[ACTIVATIONS[activation]] * (len(layout.sizes) - 2), Identity]

        def rows(width: int) -> Matrix:
            buffer: Matrix = zeros(max_rows * width, dtype).reshape(max_rows, width)
            return buffer

        self._outputs = [rows(width) for width in layout.sizes[1:]]
        input_gradients = [rows(width) for width in layout.sizes[1:-1]]
        self._dz = [*input_gradients, self._outputs[-1]]
        self.layers = [
            Layer(a, dx, bend, products, loops)
            for a, dx, bend in zip(self._outputs, [None, *input_gradients], activations, strict=True)
        ]

    def forward(self, x: Matrix, params: Views, *, first: int = 0) -> Matrix:
        """The logits (rows, classes), a view that the next call overwrites. The loss may overwrite it as well.

        Args:
            x: (rows, inputs), C order, also of no rows. Leave it as it is until backward is done.
            params: views of the parameters.
            first: row of the buffers in which the first row of `x` belongs; the last must be among them as well.
        """
        for layer, (weight, bias) in zip(self.layers, params, strict=True):
            x = layer.forward(x, weight, bias, first=first)
        return x

    def backward(self, dlogits: Matrix, params: Views, grads: Views) -> None:
        """Writes the gradient of the last forward.

        Args:
            dlogits: (rows, classes) d loss / d logits; overwritten.
            params: the same parameters as in forward.
            grads: views of a gradient vector; every weight and bias is overwritten, with zeros if there are no rows.
        """
        self.propagate(dlogits, params, [dbias for _, dbias in grads])
        self.weight_gradients([dweight for dweight, _ in grads])

    def propagate(self, dlogits: Matrix, params: Views, dbiases: Sequence[Vector]) -> bool:
        """Goes back through the layers of the last forward: the gradient of every bias, and what the weights' need.

        Args:
            dlogits: (rows, classes) d loss / d logits; overwritten.
            params: the same parameters as in forward.
            dbiases: of every layer; overwritten, with zeros if there are no rows.

        Returns:
            whether all that was computed is finite.
        """
        da: Matrix | None = dlogits
        finite = True
        for layer, (weight, _), dbias in zip(reversed(self.layers), reversed(params), reversed(dbiases), strict=True):
            assert da is not None
            da = layer.backward(da, weight, dbias)
            finite &= layer.finite
        return finite

    def weight_gradients(self, dweights: Sequence[Matrix]) -> None:
        """The gradient of every weight, after `propagate`; overwritten, with zeros if there are no rows."""
        for layer, dweight in zip(self.layers, dweights, strict=True):
            layer.weight_gradient(dweight)

    def factors(self, x: Matrix) -> list[tuple[Matrix, Matrix]]:
        """The buffers of x and dz of every layer, whose product x^T dz is the gradient of its weight.

        Args:
            x: (max_rows, inputs) what the rows are that `forward` is given.
        """
        return list(zip([x, *self._outputs[:-1]], self._dz, strict=True))
