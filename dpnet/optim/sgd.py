"""Update rules: the parameters and the gradient of a step -> the parameters of the next.

A rule sees runs of flat vectors, never a layer. It treats every element by itself, with additions, multiplications,
divisions and square roots only, which IEEE 754 rounds in one way. So the result has the same bits however a vector is
cut into calls: ranks may share a vector out, and runs with and without weight decay may alternate.

The rules are PyTorch's up to rounding, so the same hyperparameters give the same curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.optim.adam import Adam, AdamW
from dpnet.optim.rule import Block, Blockwise, Step, add_l2


class Optimizer(Protocol):
    """An update rule.

    Attributes:
        slots: names of its state vectors, as PyTorch calls them. Each is as long as the parameters, of their dtype, and
            zero before the first step.
        rule: name of the compiled loop that does the same (see `kernels.rules`).
    """

    slots: tuple[str, ...]
    rule: str

    def update(
        self,
        params: Vector,
        grad: Vector,
        slots: Sequence[Vector],
        *,
        learning_rate: float,
        weight_decay: float,
        step: int,
        out: Vector,
        out_slots: Sequence[Vector],
    ) -> None:
        """Make one step on a run. Allocates nothing that grows with its length.

        Args:
            params: (n,) parameters; n may be 0. All vectors have the dtype that the rule was made for.
            grad: (n,) gradient of the mean loss, after clipping. Scratch: its content is lost.
            slots: one (n,) vector for each name in the attribute `slots`.
            learning_rate: scale of the step.
            weight_decay: strength of the pull towards zero, 0 for none; how it pulls is up to the rule.
            step: number of this step, from 1.
            out: (n,) the new parameters: the same memory as `params`, or none of it.
            out_slots: the new state, in the order of `slots`: the same memory as those, or none of it.
        """

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """The last arguments of the compiled loop, from the learning rate on."""
        ...


class SGD(Blockwise):
    """Stochastic gradient descent.

        g = g + weight_decay * p
        p = p - learning_rate * g

    A step goes straight downhill, and the further the steeper it is. Weight decay is the gradient of
    weight_decay / 2 * |p|^2 (L2 regularisation).

    Source: Robbins & Monro, "A Stochastic Approximation Method", 1951. As torch.optim.SGD without momentum.

    Args:
        dtype: of all vectors.
    """

    slots: tuple[str, ...] = ()
    rule = "sgd"

    def __init__(self, *, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype)

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """See Optimizer.numbers."""
        return (learning_rate,)

    def _update_block(self, block: Block, how: Step) -> None:
        p, g, _, new_p, _, t = block
        add_l2(g, p, how.weight_decay, t)
        g *= how.learning_rate
        np.subtract(p, g, out=new_p)


class Momentum(Blockwise):
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

    slots: tuple[str, ...] = ("momentum_buffer",)
    rule = "momentum"

    def __init__(self, *, momentum: float, nesterov: bool = False, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype)
        assert 0 <= momentum < 1
        self._momentum = momentum
        self._nesterov = nesterov

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """See Optimizer.numbers."""
        return learning_rate, self._momentum, self._nesterov

    def _update_block(self, block: Block, how: Step) -> None:
        p, g, (b,), new_p, (new_b,), t = block
        add_l2(g, p, how.weight_decay, t)
        np.multiply(b, self._momentum, out=new_b)
        new_b += g
        direction = new_b
        if self._nesterov:
            direction = np.multiply(new_b, self._momentum, out=t)
            direction += g
        np.multiply(direction, how.learning_rate, out=t)
        np.subtract(p, t, out=new_p)


def make_optimizer(
    name: str, *, momentum: float, nesterov: bool, betas: tuple[float, float], eps: float, dtype: npt.DTypeLike
) -> Optimizer:
    """The rule called `name`: "sgd", "adam" or "adamw".

    Args:
        name: "sgd" means `Momentum` where `momentum` is above 0.
        momentum: of "sgd".
        nesterov: of "sgd" with momentum.
        betas: of "adam" and "adamw".
        eps: of "adam" and "adamw".
        dtype: of all vectors.
    """
    rules: dict[str, Callable[[], Optimizer]] = {
        "sgd": lambda: Momentum(momentum=momentum, nesterov=nesterov, dtype=dtype) if momentum else SGD(dtype=dtype),
        "adam": lambda: Adam(betas=betas, eps=eps, dtype=dtype),
        "adamw": lambda: AdamW(betas=betas, eps=eps, dtype=dtype),
    }
    return rules[name]()
