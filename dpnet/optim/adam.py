"""Adam and AdamW: each element has a step size of its own, from the history of its gradients."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dpnet.optim.rule import Block, Blockwise, Step, add_l2


class Adam(Blockwise):
    """Adaptive moment estimation, with L2 regularisation.

        g = g + weight_decay * p
        the step of `_AdaptiveStep`

    The decay is divided by sqrt(v) like the rest of the gradient, so parameters with large gradients decay less than
    others. Where that is not wanted, take AdamW.

    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015. As torch.optim.Adam without amsgrad.

    Args:
        betas: the parts of `m` and of `v` that a step keeps, in [0, 1).
        eps: bounds the division where all gradients have been zero, above 0.
        dtype: of all vectors.
    """

    slots: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    rule = "adaptive"

    def __init__(self, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype)
        self._adaptive_step = _AdaptiveStep(betas, eps)

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """See Optimizer.numbers."""
        return learning_rate, False, *self._adaptive_step.numbers(learning_rate, step)

    def _update_block(self, block: Block, how: Step) -> None:
        add_l2(block.g, block.p, how.weight_decay, block.scratch)
        self._adaptive_step(block, how)


class AdamW(Blockwise):
    """Adam with decoupled weight decay.

        p = p * (1 - learning_rate * weight_decay)
        the step of `_AdaptiveStep`

    All parameters shrink at the same rate, whatever their gradients: the decay bypasses the moments.

    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019; as in torch.optim.AdamW, the decay is
    multiplied by the learning rate.

    Args:
        betas: the parts of `m` and of `v` that a step keeps, in [0, 1).
        eps: bounds the division where all gradients have been zero, above 0.
        dtype: of all vectors.
    """

    slots: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    rule = "adaptive"

    def __init__(self, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype)
        self._adaptive_step = _AdaptiveStep(betas, eps)

    def numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """See Optimizer.numbers."""
        return learning_rate, True, *self._adaptive_step.numbers(learning_rate, step)

    def _update_block(self, block: Block, how: Step) -> None:
        if how.weight_decay:
            decayed = np.multiply(block.p, 1 - how.learning_rate * how.weight_decay, out=block.new_p)
            block = block._replace(p=decayed)
        self._adaptive_step(block, how)


class _AdaptiveStep:
    """The step that Adam and AdamW share.

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        p = p - learning_rate * m' / (sqrt(v') + eps)    m' = m / (1 - beta1^k), v' = v / (1 - beta2^k), k = step

    m is a running mean of the gradient, v of its square; each element moves by about the learning rate where its
    gradients agree, and by less where they are noise. Both start at zero, which m' and v' make up for.
    """

    def __init__(self, betas: tuple[float, float], eps: float) -> None:
        assert all(0 <= beta < 1 for beta in betas)
        assert eps > 0
        self._betas = betas
        self._eps = eps

    def __call__(self, block: Block, how: Step) -> None:
        p, g, (m, v), new_p, (new_m, new_v), t = block
        beta1, beta2 = self._betas
        np.multiply(g, 1 - beta1, out=t)
        np.multiply(m, beta1, out=new_m)
        new_m += t
        np.multiply(g, 1 - beta2, out=t)
        t *= g
        np.multiply(v, beta2, out=new_v)
        new_v += t
        *_, eps, length = self.numbers(how.learning_rate, how.number)
        np.sqrt(new_v, out=t)
        t += eps
        np.divide(new_m, t, out=t)
        t *= length
        np.subtract(p, t, out=new_p)

    def numbers(self, learning_rate: float, step: int) -> tuple[float, float, float, float]:
        """beta1, beta2, c * eps and learning_rate * c / (1 - beta1^k), with c = sqrt(1 - beta2^k) and k = step.

        m' / (sqrt(v') + eps) is c * m' / (sqrt(v) + c * eps): one division per element.
        """
        beta1, beta2 = self._betas
        c = math.sqrt(1 - beta2**step)
        return beta1, beta2, c * self._eps, learning_rate * c / (1 - beta1**step)
