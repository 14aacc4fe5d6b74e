"""Initial parameters: random weights of the right size, biases 0.

What is the right size? Take one unit, `z = sum_j w_j a_j` over its fan_in inputs, with independent weights of mean 0
and variance v. Then z has mean 0, and since the weights are independent of the inputs and of each other only the
squares are left:

    Var z = fan_in * v * E[a^2]

Let a = f(z') come from the layer below, z' with mean 0 and symmetric about it.

**ReLU** throws away the negative half, so E[a^2] = E[z'^2] / 2 = Var z' / 2, and

    Var z = fan_in * v / 2 * Var z'       equal to Var z' exactly when       v = 2 / fan_in

This is why an unbounded activation does not blow up: with any other v the variance would change by the same factor in
every layer, and grow or vanish exponentially with depth. (He et al., "Delving Deep into Rectifiers", 2015.) For leaky
ReLU the exact factor is 2 / (1 + slope^2), here 1.9998; dpnet takes 2.

**tanh, sigmoid, identity** are nearly linear about 0. There E[a^2] ~ Var z' (tanh, identity) wants v = 1 / fan_in
forward, and the same sum over the fan_out units that a gradient comes back from wants v = 1 / fan_out backward. Both
hold only for square layers; the compromise is v = 2 / (fan_in + fan_out). (Glorot and Bengio, "Understanding the
difficulty of training deep feedforward neural networks", 2010.)

A uniform number in [-limit, limit) has the variance limit^2 / 3, so limit = sqrt(3 v).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.compute.random import INITIALISE, random_bits
from dpnet.nn.layout import Layout


def he(fan_in: int, fan_out: int) -> float:
    """Variance of a weight for activations that pass one half of their inputs."""
    return 2 / fan_in


def glorot(fan_in: int, fan_out: int) -> float:
    """Variance of a weight for activations that are nearly linear about 0."""
    return 2 / (fan_in + fan_out)


VARIANCES: dict[str, Callable[[int, int], float]] = {
    "relu": he,
    "leaky_relu": he,
    "tanh": glorot,
    "sigmoid": glorot,
    "identity": glorot,
}
"""Variance of the weights from (fan_in, fan_out), by the name of the activation."""


def initialize(layout: Layout, activation: str, seed: int, params: Vector) -> None:
    """Overwrites `params` with initial parameters: uniform weights, biases and padding 0.

    A weight depends only on (seed, layer, its place in the layer) and the widths of its layer, in every version of
    numpy: the bits come from `random_bits`, and all arithmetic on them is exact or correctly rounded.

    Args:
        layout: of the network.
        activation: a name in `VARIANCES`.
        seed: of the job.
        params: (layout.size,), float32 or float64. The float32 numbers are the float64 ones, rounded.
    """
    params[:] = 0
    for layer, (weight, _) in enumerate(layout.views(params)):
        fan_in, fan_out = weight.shape
        limit = math.sqrt(3 * VARIANCES[activation](fan_in, fan_out))
        weight.T[...] = limit * (2 * _uniform(weight.size, seed, layer) - 1).reshape(fan_out, fan_in)


def _uniform(count: int, seed: int, layer: int) -> npt.NDArray[np.float64]:
    """`count` numbers in [0, 1), multiples of 2^-53: a float64 holds the 53 high bits of a word exactly."""
    bits = random_bits(count, seed=seed, purpose=INITIALISE, index=layer)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
