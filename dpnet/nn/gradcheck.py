"""Checks every layer's gradient against central differences.

A derivative is a limit of difference quotients, so moving one parameter and comparing the losses checks
backpropagation:

    d loss / d w  ~  (loss(w + h) - loss(w - h)) / (w + h - (w - h))

The odd terms of the Taylor series survive, the even ones cancel, so the quotient is off by about h^2 / 6 times the
third derivative: 2e-13 of it at h = 1e-6. The loss itself is rounded to some 1e-16 of its size, which the quotient
divides by h: an absolute error of 1e-10 to 1e-9 for a loss near 1. At h = 1e-6 both errors are small in float64. In
float32 no h is small enough for one and large enough for the other.

At a kink (ReLU at 0, the absolute error at 0) there is no derivative to compare with. If a hidden unit is active at
w + h and not at w - h, or the reverse, or an error of such a loss changes its sign, the quotient is a mean of two
slopes: such an entry is counted, not compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Matrix, Targets, Vector, aligned_zeros
from dpnet.compute.loops import reference
from dpnet.compute.loops.interface import Loops
from dpnet.compute.products.interface import Products
from dpnet.compute.products.numpy import NUMPY
from dpnet.compute.random import GRADCHECK, random_bits
from dpnet.nn.activations import ACTIVATIONS
from dpnet.nn.layout import Layout, Tensor
from dpnet.nn.losses.interface import Loss
from dpnet.nn.network import MLP

MAX_RELATIVE_ERROR = 1e-6
"""A correct gradient of ordinary size has an error of 1e-10 to 1e-7; a wrong sign, factor or term, one of 1e-3 to 1."""

ROUNDING_ERRORS = 8
"""Units in the last place by which two losses may differ by chance. Matters only where a gradient is almost 0."""


@dataclass
class TensorCheck:
    """The result for one weight or bias.

    Attributes:
        name: of the tensor in the layout.
        shape: of the tensor.
        compared: number of entries compared.
        kinks: number of entries not compared because a kink lay between the two losses.
        max_abs_error: largest |backward - differences| among the compared entries; 0 if there are none.
        relative_error: |backward - differences| / (|backward| + |differences|), norms over the compared entries.
        ok: the two agree. Also True if nothing was compared: see `compared`.
    """

    name: str
    shape: tuple[int, ...]
    compared: int
    kinks: int
    max_abs_error: float
    relative_error: float
    ok: bool


def check(
    layout: Layout,
    activation: str,
    params: Vector,
    x: Matrix,
    targets: Targets,
    *,
    seed: int,
    loss: Loss,
    entries: int = 200,
    h: float = 1e-6,
    products: Products = NUMPY,
    loops: Loops = reference,
) -> list[TensorCheck]:
    """Compares backward with central differences of the mean loss, for every weight and bias.

    Args:
        layout: of the network.
        activation: a name in `ACTIVATIONS`.
        params: (layout.size,) float64; not changed.
        x: (rows, inputs) float64, at least one row.
        targets: what the loss compares the outputs with.
        seed: chooses the entries of a tensor that has more than `entries`.
        loss: the end of the network, for float64 and as many rows.
        entries: most entries to compare in each tensor. Each costs two forward passes.
        h: step to either side.
        products: matrix products of the network.
        loops: element-wise work of the network.

    Returns:
        One result for each tensor of the layout, in its order.
    """
    assert params.dtype == x.dtype == np.float64, (params.dtype, x.dtype)
    assert len(x) > 0
    probe = _Probe(layout, activation, params, x, targets, products, loops, loss)
    value, grad = probe.gradient()
    # The error that rounding alone can cause in a quotient. The gradients of a dead or saturated layer are smaller, and
    # their relative error means nothing.
    noise = ROUNDING_ERRORS * float(np.finfo(np.float64).eps) * max(1.0, value) / h
    results = []
    for index, tensor in enumerate(layout.tensors):
        chosen = _choose(tensor, index, seed, entries)
        results.append(_compare(tensor, grad[chosen], [probe.difference(entry, h) for entry in chosen], noise))
    return results


def _choose(tensor: Tensor, index: int, seed: int, entries: int) -> list[int]:
    """Up to `entries` distinct places in the flat vector, ascending."""
    keys = random_bits(tensor.stop - tensor.start, seed=seed, purpose=GRADCHECK, index=index)
    chosen = np.sort(np.argsort(keys, kind="stable")[:entries])
    return [tensor.start + int(place) for place in chosen]


def _compare(tensor: Tensor, grad: Vector, differences: list[float | None], noise: float) -> TensorCheck:
    """The result for one tensor; a difference of None is a kink."""
    smooth = [place for place, difference in enumerate(differences) if difference is not None]
    numeric = np.array([differences[place] for place in smooth], dtype=np.float64)
    analytic = grad[smooth]
    error = analytic - numeric
    scale = np.linalg.norm(analytic) + np.linalg.norm(numeric)
    relative = float(np.linalg.norm(error) / max(scale, np.finfo(np.float64).tiny))
    largest = float(np.max(np.abs(error), initial=0.0))
    # Comparisons with NaN are False: NaN is never ok.
    ok = relative <= MAX_RELATIVE_ERROR or largest <= noise
    kinks = len(differences) - len(smooth)
    return TensorCheck(tensor.name, tensor.shape, len(smooth), kinks, largest, relative, ok)


class _Probe:
    """The mean loss of one batch as a function of the parameters."""

    def __init__(
        self,
        layout: Layout,
        activation: str,
        params: Vector,
        x: Matrix,
        targets: Targets,
        products: Products,
        loops: Loops,
        loss: Loss,
    ) -> None:
        self._layout = layout
        self._model = MLP(layout, activation, max_rows=len(x), dtype=np.float64, products=products, loops=loops)
        self._has_kink = ACTIVATIONS[activation].has_kink
        self._loss = loss
        self._flat = params.copy()
        self._params = layout.views(self._flat)
        self._x, self._targets = x, targets

    def gradient(self) -> tuple[float, Vector]:
        """The loss, and its gradient by backward, (layout.size,)."""
        grad = aligned_zeros(self._layout.size, np.float64)
        outputs = self._model.forward(self._x, self._params)
        total, _ = self._loss(outputs, self._targets, 1 / len(self._x))
        self._model.backward(outputs, self._layout.views(grad))
        return total / len(self._x), grad

    def difference(self, entry: int, h: float) -> float | None:
        """The central difference in parameter `entry`; None if there is a kink in between."""
        before = float(self._flat[entry])
        # The ends are rounded, so their distance is not exactly 2 h.
        above, below = before + h, before - h
        loss_above, active_above = self._loss_at(entry, above)
        loss_below, active_below = self._loss_at(entry, below)
        self._flat[entry] = before
        if active_above != active_below:
            return None
        return (loss_above - loss_below) / (above - below)

    def _loss_at(self, entry: int, value: float) -> tuple[float, list[bytes]]:
        """The loss with parameter `entry` set to `value`, and on which side of every kink it is taken."""
        self._flat[entry] = value
        outputs = self._model.forward(self._x, self._params)
        sides = [(outputs > self._targets).tobytes()] if self._loss.has_kink else []
        total, _ = self._loss(outputs, self._targets, 1.0)
        hidden: list[npt.NDArray[np.floating]] = self._model.outputs[:-1]
        return total / len(self._x), sides + [(y > 0).tobytes() for y in hidden if self._has_kink]
