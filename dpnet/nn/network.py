"""The network: linear layers with an activation after each but the last.

    x -> Linear -> f -> Linear -> f -> ... -> Linear -> logits          forward
    dweight, dbias of every layer  <-  ...  <-  dlogits                 backward, the same way in reverse

It owns the activations, never the parameters: those are views into a flat vector that can be another one at every call,
because parameters live in banks that swap and gradients go to changing buffers.

Backward is two things. `propagate` goes from layer to layer and leaves dz = d loss / d z of each, which needs the one
above it. What is left, dweight = x^T dz, each layer does by itself, in any order. A sum over samples is all it is: so
several networks that share their buffers, each with rows of its own, can have it done for all their rows at once (see
`reduce.joint`).

A training comes with the same few arrays in every step. What is to be called for them is put together the first time
and kept, as one list for all layers: of a short step this saves a tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

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

K = TypeVar("K")
T = TypeVar("T")

MAX_KEPT = 256
"""Kinds of passes that are kept. A training has one to four: two banks of parameters, and a shorter last batch."""


@dataclass(frozen=True, eq=False)
class _Forward:
    """What computes the logits of one batch in one place of the buffers.

    Attributes:
        calls: in order.
        inputs: x of every layer.
        outputs: a of every layer.
        params: they are kept, as all arrays and lists by whose ids something is found: while they live, nothing else
            has their ids.
        first: row of the buffers.
        back: the ways back, by what they are computed from and into.
    """

    calls: list[Call]
    inputs: list[Matrix]
    outputs: list[Matrix]
    params: Views
    first: int
    back: dict[tuple[int, ...], _Backward] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Backward:
    """What goes back from the gradient of the logits.

    Attributes:
        calls: two for each layer, from the logits on: see Layer.backward.
        dz: d loss / d z of every layer.
        params: see _Forward.
        dbiases: where the gradients of the biases go.
        gradients: the calls that compute the gradient of every weight, and where those go, by its id.
    """

    calls: list[tuple[Callable[[], bool], Call | None]]
    dz: list[Matrix]
    params: Views
    dbiases: Sequence[Vector]
    gradients: dict[int, tuple[list[Call], Sequence[Matrix]]] = field(default_factory=dict)


class MLP:
    """A feed-forward network for batches of up to `max_rows` samples. All its memory is taken here, none per call.

    Lists that it is given, of parameters and of gradients, must stay as they are: arrays may change, which ones not.

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
        loops: Loops = reference,
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
        self._forwards: dict[tuple[int, ...], _Forward] = {}
        self._last = _Forward([], [], [], [], 0)
        self._last_back = _Backward([], [], [], [])

    @property
    def outputs(self) -> list[Matrix]:
        """The output (rows, width) of every layer in the last forward."""
        return self._last.outputs

    def forward(self, x: Matrix, params: Views, *, first: int = 0) -> Matrix:
        """The logits (rows, classes), a view that the next call overwrites. The loss may overwrite it as well.

        Args:
            x: (rows, inputs), C order, also of no rows. Leave it as it is until backward is done.
            params: views of the parameters.
            first: row of the buffers in which the first row of `x` belongs; the last must be among them as well.
        """
        key = id(x), id(params), first
        if key not in self._forwards:
            _keep(self._forwards, key, self._bind_forward(x, params, first))
        self._last = self._forwards[key]
        for call in self._last.calls:
            call()
        return self._last.outputs[-1]

    def _bind_forward(self, x: Matrix, params: Views, first: int) -> _Forward:
        done = _Forward([], [], [], params, first)
        for layer, (weight, bias) in zip(self.layers, params, strict=True):
            done.inputs.append(x)
            calls, x = layer.forward(x, weight, bias, first=first)
            done.calls.extend(calls)
            done.outputs.append(x)
        return done

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
        back, key = self._last.back, (id(dlogits), id(params), id(dbiases))
        if key not in back:
            _keep(back, key, self._bind_backward(dlogits, params, dbiases))
        self._last_back = back[key]
        finite = True
        for unbend, multiply in self._last_back.calls:
            finite &= unbend()
            if multiply is not None:
                multiply()
        return finite

    def _bind_backward(self, dlogits: Matrix, params: Views, dbiases: Sequence[Vector]) -> _Backward:
        done = _Backward([], [], params, dbiases)
        da: Matrix | None = dlogits
        layers = zip(self.layers, self._last.outputs, params, dbiases, strict=True)
        for layer, a, (weight, _), dbias in reversed(list(layers)):
            assert da is not None
            done.dz.insert(0, da)
            unbend, multiply, da = layer.backward(a, da, weight, dbias, first=self._last.first)
            done.calls.append((unbend, multiply))
        return done

    def weight_gradients(self, dweights: Sequence[Matrix]) -> None:
        """The gradient of every weight, after `propagate`; overwritten, with zeros if there are no rows."""
        kept = self._last_back.gradients
        if id(dweights) not in kept:
            arrays = zip(self.layers, self._last.inputs, self._last_back.dz, dweights, strict=True)
            calls = [layer.weight_gradient(x, dz, dweight) for layer, x, dz, dweight in arrays]
            _keep(kept, id(dweights), (calls, dweights))
        for call in kept[id(dweights)][0]:
            call()

    def factors(self, x: Matrix) -> list[tuple[Matrix, Matrix]]:
        """The buffers of x and dz of every layer, whose product x^T dz is the gradient of its weight.

        Args:
            x: (max_rows, inputs) what the rows are that `forward` is given.
        """
        return list(zip([x, *self._outputs[:-1]], self._dz, strict=True))


def _keep(kept: dict[K, T], key: K, value: T) -> None:
    if len(kept) >= MAX_KEPT:
        kept.clear()
    kept[key] = value
