"""The network: linear layers with an activation after each but the last.

    x -> Linear -> f -> Linear -> f -> ... -> Linear -> logits          forward
    dweight, dbias of every layer  <-  ...  <-  dlogits                 backward, the same way in reverse

The network owns the activations and never the parameters. Those are views into a flat vector, and another vector may
come with every call: parameters live in banks that swap, gradients go to several buffers.

Going back has two parts. `propagate` walks from layer to layer, because each needs the gradient of the one above, and
leaves dz = d loss / d z in each. What remains is the gradient of the weights, dweight = x^T dz. Every layer can compute
its own, in any order; `propagate` returns a pass that does so. x^T dz is a sum over samples. So networks that share
their buffers, each with rows of its own, can have it computed for the rows of all of them at once, from `factors` (see
`parallel.joint`).

Of frozen layers no gradient is needed, and the walk back ends at the lowest layer that is trained.

The walks below do not compute: they collect the calls that do, and these are kept (see `passes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, Vector, Zeros, aligned_zeros
from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Loops
from dpnet.compute.products.interface import Products
from dpnet.compute.products.numpy import NUMPY
from dpnet.nn.activations import ACTIVATIONS, Activation, Identity
from dpnet.nn.layers import Call, Layer
from dpnet.nn.layout import Layout, Views
from dpnet.nn.passes import BackwardPass, ForwardPass, keep


class MLP:
    """A feed-forward network for batches of up to `max_rows` samples. It takes all its memory here, none per call.

    The lists of parameters and of gradients that it is given must go on holding the same arrays; the numbers in these
    may change.

    Args:
        layout: the widths; without hidden layers this is a linear model.
        activation: a name in `ACTIVATIONS`, of every hidden layer.
        max_rows: rows of its buffers.
        dtype: float32 or float64, of every array.
        products: matrix products.
        loops: element-wise work.
        zeros: makes the buffers.

    Attributes:
        layers: from the input to the logits.
        after_output: hooks: calls by the number of a layer, made whenever its output is complete. Set them before the
            first pass, which keeps them.
        after_dz: likewise, when dz and the gradient of the bias are complete.
    """

    def __init__(
        self,
        layout: Layout,
        activation: str,
        *,
        max_rows: int,
        dtype: npt.DTypeLike = np.float32,
        products: Products = NUMPY,
        loops: Loops = reference,
        zeros: Zeros = aligned_zeros,
    ) -> None:
        # The logits have no activation: softmax belongs to the loss, see there.
        activations: list[type[Activation]] = [*[ACTIVATIONS[activation]] * (len(layout.sizes) - 2), Identity]

        def rows(width: int) -> Matrix:
            buffer: Matrix = zeros(max_rows * width, dtype).reshape(max_rows, width)
            return buffer

        self._frozen, self._lowest = layout.frozen, layout.lowest
        self._outputs = [rows(width) for width in layout.sizes[1:]]
        input_gradients = [rows(width) for width in layout.sizes[1:-1]]
        self._dz = [*input_gradients, self._outputs[-1]]
        self.layers = [
            Layer(a, dx, f, products, loops)
            for a, dx, f in zip(self._outputs, [None, *input_gradients], activations, strict=True)
        ]
        self.after_output: dict[int, Call] = {}
        self.after_dz: dict[int, Call] = {}
        self._passes: dict[tuple[int, int, int], ForwardPass] = {}
        self._last = ForwardPass([], 0)

    @property
    def outputs(self) -> list[Matrix]:
        """The output (rows, width) of every layer in the last forward."""
        return self._last.outputs

    def forward(self, x: Matrix, params: Views, *, first: int = 0) -> Matrix:
        """The logits (rows, classes), a view that the next call overwrites. The loss may overwrite it as well.

        Args:
            x: (rows, inputs), C order; rows may be 0. Leave it as it is until the gradients are there.
            params: views of the parameters. Going back reads them too.
            first: row of the buffers in which the first row of `x` belongs; there must be room for all of them.
        """
        key = id(x), id(params), first
        self._last = self._passes.get(key) or keep(self._passes, key, self._forward_pass(x, params, first))
        return self._last.run()

    def _forward_pass(self, x: Matrix, params: Views, first: int) -> ForwardPass:
        done = ForwardPass(params, first)
        for number, (layer, (weight, bias)) in enumerate(zip(self.layers, params, strict=True)):
            done.inputs.append(x)
            calls, x = layer.forward(x, weight, bias, first=first)
            done.calls += [*calls, *_hooks(self.after_output, number)]
            done.outputs.append(x)
        return done

    def backward(self, dlogits: Matrix, grads: Views) -> None:
        """Write the gradient of the last forward.

        Args:
            dlogits: (rows, classes) d loss / d logits; overwritten.
            grads: views of a gradient vector; every weight and bias that is trained is overwritten, with zeros if there
                are no rows.
        """
        backward = self.propagate(dlogits, [dbias for _, dbias in grads])
        backward.weight_gradients([dweight for dweight, _ in grads])

    def propagate(self, dlogits: Matrix, dbiases: Sequence[Vector]) -> BackwardPass:
        """Go back through the layers of the last forward: the gradient of every bias, and dz of every layer.

        Args:
            dlogits: (rows, classes) d loss / d logits; overwritten.
            dbiases: of every layer; overwritten down to the lowest that is trained, with zeros if there are no rows.

        Returns:
            what was done: it says whether all numbers are finite, and writes the gradients of the weights. The next
            call with the same arrays returns the same object.
        """
        kept, key = self._last.backward, (id(dlogits), id(dbiases))
        backward = kept.get(key) or keep(kept, key, self._backward_pass(self._last, dlogits, dbiases))
        backward.run()
        return backward

    def _backward_pass(self, forward: ForwardPass, dlogits: Matrix, dbiases: Sequence[Vector]) -> BackwardPass:
        done = BackwardPass(dbiases)
        da: Matrix | None = dlogits
        layers = zip(self.layers, forward.inputs, forward.outputs, forward.params, dbiases, strict=True)
        for number, (layer, x, a, (weight, _), dbias) in reversed(list(enumerate(layers))[self._lowest :]):
            assert da is not None
            if number not in self._frozen:
                done.factors.insert(0, (number, layer, x, da))
            through_activation, through_weights, da = layer.backward(a, da, weight, dbias, first=forward.first)
            calls = _hooks(self.after_dz, number)
            if through_weights is not None and number > self._lowest:
                calls.append(through_weights)
            done.calls.append((through_activation, calls))
        return done

    def factors(self, x: Matrix) -> list[tuple[Matrix, Matrix]]:
        """The whole buffers of x and dz of every layer, whose product x^T dz is the gradient of its weight.

        Args:
            x: (max_rows, inputs), the buffer whose rows `forward` is given.
        """
        return list(zip([x, *self._outputs[:-1]], self._dz, strict=True))


def _hooks(hooks: Mapping[int, Call], layer: int) -> list[Call]:
    return [hooks[layer]] if layer in hooks else []
