"""Gradient descent, plain and with momentum: all elements share one step size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpnet.optim.rule import Optimizer, Step, TileVectors, add_l2


class SGD(Optimizer):
    """Stochastic gradient descent.

        g = g + weight_decay * p
        p = p - learning_rate * g

    A step goes straight downhill, and the further the steeper it is. Weight decay is the gradient of
    weight_decay / 2 * |p|^2 (L2 regularisation).

    Source: Robbins & Monro, "A Stochastic Approximation Method", 1951. As torch.optim.SGD without momentum.

    Args:
        dtype: of all vectors.
    """

    slots = ()
    rule = "sgd"

    def __init__(self, *, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype)

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """See Optimizer.numbers."""
        return (learning_rate,)

    def _update_tile(self, tile: TileVectors, how: Step) -> None:
        p, g, _, new_p, _, t = tile
        add_l2(g, p, how.weight_decay, t)
        g *= how.learning_rate
        np.subtract(p, g, out=new_p)


class Momentum(Optimizer):
    """Gradient descent with momentum.

        g = g + weight_decay * p
        b = momentum * b + g
        p = p - learning_rate * b                     Polyak's heavy ball
        p = p - learning_rate * (g + momentum * b)    Nesterov

    Past gradients roll on like a heavy ball: what they agree on grows to 1 / (1 - momentum) times the step of SGD, and
    what changes its sign cancels. Nesterov's step looks ahead along `b`, so it brakes before it overshoots.

    Sources: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Nesterov, "A method for
    solving the convex programming problem with convergence rate O(1/k^2)", 1983, in the form of Sutskever et al., "On
    the importance of initialization and momentum in deep learning", 2013, but as in torch.optim.SGD (dampening 0) with
    the learning rate outside of `b`.

    Args:
        momentum: the part of `b` that a step keeps, in [0, 1).
        nesterov: take Nesterov's step.
        dtype: of all vectors.
    """

    slots = ("momentum_buffer",)
    rule = "momentum"

    def __init__(self, *, momentum: float, nesterov: bool = False, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype)
        assert 0 <= momentum < 1
        self._momentum = momentum
        self._nesterov = nesterov

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """See Optimizer.numbers."""
        return learning_rate, self._momentum, self._nesterov

    def _update_tile(self, tile: TileVectors, how: Step) -> None:
        p, g, (b,), new_p, (new_b,), t = tile
        add_l2(g, p, how.weight_decay, t)
        np.multiply(b, self._momentum, out=new_b)
        new_b += g
        direction = new_b
        if self._nesterov:
            direction = np.multiply(new_b, self._momentum, out=t)
            direction += g
        np.multiply(direction, how.learning_rate, out=t)
        np.subtract(p, t, out=new_p)
