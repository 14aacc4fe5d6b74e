"""Activations: what bends the network, and what backpropagation needs of their calculus.

A hidden layer computes `z = x W + b` and `a = f(z)`, f on each element. The derivative f'(z) says how much a moves
for a small move of z. By the chain rule a small dz changes the loss by `(d loss / d a) * f'(z) * dz`, so

    d loss / d z  =  d loss / d a  *  f'(z)          each unit on its own

That is all that backpropagation asks of f: one factor per unit. On its way back through n layers a gradient meets n
such factors, and their product decides whether the first layer still learns anything:

    f            range     f'(z) from a = f(z)     f'(z) lies in
    sigmoid      (0, 1)    a (1 - a)               (0, 1/4]           ten layers: at most 1e-6 of the gradient is left
    tanh         (-1, 1)   1 - a^2                 (0, 1]             1 at z = 0 only, near 0 once |z| > 3
    relu         [0, inf)  1 if a > 0 else 0       {0, 1}             an active unit passes the gradient on unchanged
    leaky_relu   all       1 if a > 0 else slope   {slope, 1}         no unit ever falls silent
    identity     all       1                       {1}                layers add nothing: the net stays linear

**Why an unbounded activation trains.** Bounded f seem safer, yet what bounds them is a flat curve, and a flat curve
has no gradient: they buy a bounded output with a gradient that shrinks layer by layer. ReLU keeps the gradient and
lets the output grow, and three things keep the output in check: the initial weights are chosen for z to be small and
not to vanish from layer to layer (derived in `init`); the softmax sees only differences of logits (`loss`), so a common
growth of all logits changes nothing; and the gradient that starts at the top is p - y, between -1 and 1 however large
the logits are.

All activations work in place and compute f' from the output alone: `a` overwrites `z`, and backward needs nothing else.
A NaN in z stays a NaN in a. Every step uses the same arrays, so calls are bound to them once (see `layers`).
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, Vector, aligned_zeros
from dpnet.compute.loops.interface import Loops


class Activation(ABC):
    """One activation of one layer.

    It also handles the bias: forward adds it before f, and backward sums its gradient after f'. Both are passes over
    the same numbers.

    Args:
        max_rows: most rows of a call.
        width: units of the layer.
        dtype: float32 or float64.
        loops: element-wise work.

    Attributes:
        has_kink: f' jumps at 0. Finite differences across the jump mean nothing, so `gradcheck` omits them.
    """

    has_kink: ClassVar[bool] = False

    def __init__(self, max_rows: int, width: int, dtype: npt.DTypeLike, loops: Loops) -> None:
        self._loops = loops

    @abstractmethod
    def forward(self, z: Matrix, bias: Vector) -> Callable[[], object]:
        """A call that turns `z` (rows, width) into a = f(z + bias), in place."""

    @abstractmethod
    def backward(self, a: Matrix, da: Matrix, dbias: Vector) -> Callable[[], bool]:
        """A call that turns `da` = d loss / d a (rows, width) into dz = d loss / d z; its column sums go to `dbias`.

        `a` is what forward made. The call returns whether all sums are finite.
        """


class ReLU(Activation):
    """f(z) = max(z, 0).

    From the definition of the derivative, (f(z + h) - f(z)) / h for h -> 0: it is h / h = 1 where z > 0 and 0 / h = 0
    where z < 0. At z = 0 it is 1 for h > 0 and 0 for h < 0: the two sides differ, and there is **no derivative**.
    Every number between them is a subgradient, the slope of a line through (0, 0) that lies nowhere above f. dpnet
    takes the subgradient 0, as every framework does. Any choice in [0, 1] trains; with 0, a unit whose output is 0
    passes no gradient, so the output gives the factor: 1 where a > 0, else 0. The case does occur: rows of zeros meet
    biases that start at 0.

    A unit with z <= 0 for every sample gets the gradient 0 and is dead: its own weights no longer move.
    """

    has_kink = True

    def forward(self, z: Matrix, bias: Vector) -> Callable[[], object]:
        """Turns z into max(z + bias, 0), in place."""
        return functools.partial(self._loops.add_bias_relu, z, bias)

    def backward(self, a: Matrix, da: Matrix, dbias: Vector) -> Callable[[], bool]:
        """Keeps da where a > 0 and sets 0 elsewhere; then the column sums."""
        return functools.partial(self._loops.relu_backward, a, da, dbias)


class _InPasses(Activation):
    """An activation that consists of passes of numpy, with scratch for them."""

    def __init__(self, max_rows: int, width: int, dtype: npt.DTypeLike, loops: Loops) -> None:
        super().__init__(max_rows, width, dtype, loops)
        self._scratch = aligned_zeros((max_rows, width), dtype)

    def forward(self, z: Matrix, bias: Vector) -> Callable[[], object]:
        """See Activation."""

        def call() -> None:
            self._loops.add_bias(z, bias)
            self._bend(z)

        return call

    def backward(self, a: Matrix, da: Matrix, dbias: Vector) -> Callable[[], bool]:
        """See Activation."""

        def call() -> bool:
            self._unbend(a, da)
            return self._loops.column_sums(da, dbias)

        return call

    @abstractmethod
    def _bend(self, z: Matrix) -> None:
        """Turns z into f(z), in place."""

    @abstractmethod
    def _unbend(self, a: Matrix, da: Matrix) -> None:
        """Multiplies da by f', in place."""


class LeakyReLU(_InPasses):
    """f(z) = z where z > 0, else `SLOPE` z: a ReLU whose silent units still pass a hundredth of the gradient.

    The derivative at 0 is slope from the left and 1 from the right; dpnet takes the slope, which corresponds to ReLU's
    choice of 0.
    """

    SLOPE = 0.01
    has_kink = True

    def _bend(self, z: Matrix) -> None:
        """Turns z into max(z, SLOPE z), in place: the larger of the two is f, since 0 < SLOPE < 1."""
        lowered = self._scratch[: len(z)]
        np.multiply(z, self.SLOPE, out=lowered)
        np.maximum(z, lowered, out=z)

    def _unbend(self, a: Matrix, da: Matrix) -> None:
        """Keeps da where a > 0 and multiplies it by SLOPE elsewhere."""
        factor = self._scratch[: len(a)]
        np.greater(a, 0, out=factor)
        np.maximum(factor, self.SLOPE, out=factor)
        da *= factor


class Tanh(_InPasses):
    """f(z) = tanh(z), with f' = 1 - tanh(z)^2. Saturates at -1 and 1, where its gradient is 0."""

    def _bend(self, z: Matrix) -> None:
        """Turns z into tanh(z), in place."""
        np.tanh(z, out=z)

    def _unbend(self, a: Matrix, da: Matrix) -> None:
        """Multiplies da by 1 - a^2."""
        factor = self._scratch[: len(a)]
        np.multiply(a, a, out=factor)
        np.subtract(1, factor, out=factor)
        da *= factor


class Sigmoid(_InPasses):
    """f(z) = 1 / (1 + exp(-z)), with f' = f (1 - f): at most 1/4, at z = 0."""

    def __init__(self, max_rows: int, width: int, dtype: npt.DTypeLike, loops: Loops) -> None:
        super().__init__(max_rows, width, dtype, loops)
        # At this z sigmoid is the smallest normal number. Further below, exp(-z) would overflow, and f is 0 for all
        # purposes. np.maximum propagates NaN, so it hides none.
        self._lowest = float(np.log(np.finfo(dtype).tiny))

    def _bend(self, z: Matrix) -> None:
        """Turns z into sigmoid(z), in place."""
        np.maximum(z, self._lowest, out=z)
        np.negative(z, out=z)
        np.exp(z, out=z)
        z += 1
        np.reciprocal(z, out=z)

    def _unbend(self, a: Matrix, da: Matrix) -> None:
        """Multiplies da by a (1 - a)."""
        factor = self._scratch[: len(a)]
        np.subtract(1, a, out=factor)
        factor *= a
        da *= factor


class Identity(Activation):
    """f(z) = z, with f' = 1. As a hidden activation it leaves the network linear, whatever its depth."""

    def forward(self, z: Matrix, bias: Vector) -> Callable[[], object]:
        """Adds the bias."""
        return functools.partial(self._loops.add_bias, z, bias)

    def backward(self, a: Matrix, da: Matrix, dbias: Vector) -> Callable[[], bool]:
        """Leaves da as it is; computes the column sums."""
        return functools.partial(self._loops.column_sums, da, dbias)


ACTIVATIONS: dict[str, type[Activation]] = {
    "relu": ReLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "leaky_relu": LeakyReLU,
    "identity": Identity,
}
