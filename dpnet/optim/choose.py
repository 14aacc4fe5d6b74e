"""The update rules by their names in the job file. Each follows PyTorch's up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy.typing as npt

from dpnet.optim.adam import Adam, AdamW
from dpnet.optim.rule import Optimizer
from dpnet.optim.sgd import SGD, Momentum


class Hyperparameters(NamedTuple):
    """What the rules are made from; each takes what it has a use for.

    Attributes:
        momentum: of "sgd"; 0 for none.
        nesterov: of "sgd" with momentum.
        betas: of "adam" and "adamw".
        eps: of "adam" and "adamw".
        dtype: of all vectors.
    """

    momentum: float
    nesterov: bool
    betas: tuple[float, float]
    eps: float
    dtype: npt.DTypeLike


def _sgd(given: Hyperparameters) -> Optimizer:
    if not given.momentum:
        return SGD(dtype=given.dtype)
    return Momentum(momentum=given.momentum, nesterov=given.nesterov, dtype=given.dtype)


OPTIMIZERS: dict[str, Callable[[Hyperparameters], Optimizer]] = {
    "sgd": _sgd,
    "adam": lambda given: Adam(betas=given.betas, eps=given.eps, dtype=given.dtype),
    "adamw": lambda given: AdamW(betas=given.betas, eps=given.eps, dtype=given.dtype),
}
"""The choices of optimizer.name."""


def make_optimizer(
    name: str, *, momentum: float, nesterov: bool, betas: tuple[float, float], eps: float, dtype: npt.DTypeLike
) -> Optimizer:
    """The rule called `name`, a key of OPTIMIZERS; see Hyperparameters for the rest."""
    return OPTIMIZERS[name](Hyperparameters(momentum, nesterov, betas, eps, dtype))
