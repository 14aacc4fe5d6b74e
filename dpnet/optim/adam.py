"""Adam and AdamW: each element has a step size of its own, from the history of its gradients."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpnet.optim.rule import Optimizer, Step, TileVectors, add_l2


class _Adaptive(Optimizer):
    """The step that Adam and AdamW share.

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        p = p - learning_rate * m' / (sqrt(v') + eps)    m' = m / (1 - beta1^k), v' = v / (1 - beta2^k), k = step

    m is a running mean of the gradient, v of its square; each element moves by about the learning rate where its
    gradients agree, and by less where they are noise. Both start at zero, for which m' and v' correct.

    Args:
        betas: the parts of `m` and of `v` that a step keeps, in [0, 1).
        eps: bounds the division where all gradients have been zero, above 0.
        dtype: of all vectors.

    Attributes:
        decoupled: weight decay bypasses `m` and `v`.
    """

    slots = ("exp_avg", "exp_avg_sq")
    rule = "adaptive"
    decoupled: ClassVar[bool]

    def __init__(self, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype)
        assert all(0 <= beta < 1 for beta in betas)
        assert eps > 0
        self._betas = betas
        self._eps = eps

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """See Optimizer.numbers: learning_rate, decoupled, beta1, beta2, c eps and learning_rate c / (1 - beta1^k).

        With c = sqrt(1 - beta2^k) and k = step, m' / (sqrt(v') + eps) is c m' / (sqrt(v) + c eps): one division per
        element.
        """
        beta1, beta2 = self._betas
        c = math.sqrt(1 - beta2**step)
        return learning_rate, self.decoupled, beta1, beta2, c * self._eps, learning_rate * c / (1 - beta1**step)

    def _move(self, tile: TileVectors, how: Step) -> None:
        p, g, (m, v), new_p, (new_m, new_v), t = tile
        *_, beta1, beta2, eps, length = self.numbers(how.learning_rate, how.number)
        np.multiply(g, 1 - beta1, out=t)
        np.multiply(m, beta1, out=new_m)
        new_m += t
        np.multiply(g, 1 - beta2, out=t)
        t *= g
        np.multiply(v, beta2, out=new_v)
        new_v += t
        np.sqrt(new_v, out=t)
        t += eps
        np.divide(new_m, t, out=t)
        t *= length
        np.subtract(p, t, out=new_p)


class Adam(_Adaptive):
    """Adaptive moment estimation, with L2 regularisation.

        g = g + weight_decay * p
        then the step of `_Adaptive`

    The decay is divided by sqrt(v) like the rest of the gradient, so parameters with large gradients decay less than
    others. AdamW avoids that.

    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015. As torch.optim.Adam without amsgrad.
    """

    decoupled = False

    def _update_tile(self, tile: TileVectors, how: Step) -> None:
        add_l2(tile.g, tile.p, how.weight_decay, tile.scratch)
        self._move(tile, how)


class AdamW(_Adaptive):
    """Adam with decoupled weight decay.

        p = p * (1 - learning_rate * weight_decay)
        then the step of `_Adaptive`

    All parameters shrink at the same rate, whatever their gradients: the decay bypasses the moments.

    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019; as in torch.optim.AdamW, the decay is
    multiplied by the learning rate.
    """

    decoupled = True

    def _update_tile(self, tile: TileVectors, how: Step) -> None:
        if how.weight_decay:
            decayed = np.multiply(tile.p, 1 - how.learning_rate * how.weight_decay, out=tile.new_p)
            tile = tile._replace(p=decayed)
        self._move(tile, how)
