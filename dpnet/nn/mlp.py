"""The network: linear layers with an activation after each but the last.

    x -> Linear -> f -> Linear -> f -> ... -> Linear -> logits          forward
    dweight, dbias of every layer  <-  ...  <-  dlogits                 backward, the same way in reverse

It owns the activations, never the parameters: those are views into a flat vector that can be another one at every call,
because parameters live in banks that swap and gradients go to changing buffers.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Matrix
from dpnet.blas.products import NUMPY, Products
from dpnet.kernels import spec
from dpnet.kernels.choose import Loops
from dpnet.nn.activations import ACTIVATIONS, Activation, Identity
from dpnet.nn.layers import Layer
from dpnet.nn.layout import Layout, Views


class MLP:
    """A feed-forward network for batches of up to `max_rows` samples. All memory is taken here, none per call.

    Args:
        layout: the widths; without hidden layers this is softmax regression.
        activation: a name in `ACTIVATIONS`, of every hidden layer.
        max_rows: most samples that a call will bring.
        dtype: float32 or float64, of every array.
        products: matrix products.
        loops: element-wise work.

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
    ) -> None:
        # Nothing bends the logits: softmax belongs to the loss, see there.
        activations: list[type[Activation]] = [*[ACTIVATIONS[activation]] * (len(layout.sizes) - 2), Identity]
        self.layers = [
            Layer(max_rows, inputs, outputs, bend, dtype, products, loops)
            for (inputs, outputs), bend in zip(pairwise(layout.sizes), activations, strict=True)
        ]

    def forward(self, x: Matrix, params: Views) -> Matrix:
        """The logits (rows, classes), a view that the next call overwrites. The loss may overwrite it as well.

        Args:
            x: (rows, inputs), C order, at most max_rows rows, also none. Leave it as it is until backward is done.
            params: views of the parameters.
        """
        for layer, (weight, bias) in zip(self.layers, params, strict=True):
            x = layer.forward(x, weight, bias)
        return x

    def backward(self, dlogits: Matrix, params: Views, grads: Views) -> None:
        """Writes the gradient of the last forward.

        Args:
            dlogits: (rows, classes) d loss / d logits; overwritten.
            params: the same parameters as in forward.
            grads: views of a gradient vector; every weight and bias is overwritten, with zeros if there are no rows.
        """
        da: Matrix | None = dlogits
        for index in range(len(self.layers) - 1, -1, -1):
            assert da is not None
            da = self.layers[index].backward(da, params[index][0], *grads[index], need_dx=index > 0)
