"""Initial parameters: random where units have to become different, and no larger than that takes.

**Without a hidden layer all are 0.** Softmax regression is convex: there is one minimum, reached from anywhere, and
chance has nothing to tell apart. Random weights only have to be unlearned, and where the data say nothing (a pixel that
is black in nearly all images) they never are. From 0 the first loss is that of knowing nothing, ln(classes).

**With hidden layers** units of the same weights would have the same gradients, and remain the same: so weights are
random. How large? Take one unit, `z = sum_j w_j a_j` over its fan_in inputs, with independent weights of mean 0 and
variance v. Then z has mean 0, and since the weights are independent of the inputs and of each other only the squares
are left:

    Var z = fan_in * v * E[a^2]

**The first layer** sees inputs with E[x^2] ~ 1, if they are standardized. It takes v = `FIRST` / fan_in = 0.1 / fan_in:
the same small Var z = 0.1 for 2 inputs and for 2,000. From small activations the network has to learn its features;
from large ones it fits the data by those that it happened to draw, and does worse on samples that it has not seen
(Chizat, Oyallon and Bach, "On lazy training in differentiable programming", 2019). PyTorch has Var z = 1/3 here;
scikit-learn has anything from 0.02 to 2, depending on the shape of the layer.

**Layers between the first and the last.** Through ReLU, which throws away the negative half of what is symmetric about
0, E[a^2] is half of the variance of the z below; v = 2 / fan_in keeps the variance from layer to layer (He et al.,
"Delving deep into rectifiers", 2015). dpnet lets it shrink, for the same reason as in the first layer: to a sixth in
every layer, which is PyTorch's v = 1 / (3 fan_in). Deep networks cannot afford that: after thirty such layers nothing
arrives. So all n of these layers together shrink the variance to no less than 2^-`HALVINGS`, each of them to
max(1 / 6, 2^(-HALVINGS / n)).

tanh, sigmoid and identity are nearly linear about 0. For the variance to stay the same they want v = 1 / fan_in, and
the same sum over the fan_out units that a gradient comes back from wants v = 1 / fan_out. Both hold only for square
layers; the compromise is v = 2 / (fan_in + fan_out) (Glorot and Bengio, "Understanding the difficulty of training deep
feedforward neural networks", 2010).

**The last layer** has this v with all activations. What reaches it is small, so the first loss is near ln(classes);
its weights are not 0, so the layers below learn from the first step on.

**The biases of hidden layers** are drawn like their weights: a bias is the weight of an input that is always 1. If they
were 0, the kinks of all units of the first layer would lie on planes through the origin, which costs accuracy where
there are few inputs. The output layer's are 0: no class is preferred.

A uniform number in [-limit, limit) has the variance limit^2 / 3, so limit = sqrt(3 v).

Measured with dpnet (`python -m benchmarks.initial`; AdamW, batches of 64, 10 splits): test accuracy in %, and how far
the other ways differ, in points, with the standard error. "He" is v = 2 / fan_in in every layer and biases of 0.

    set             hidden    epochs   here   PyTorch's      scikit-learn's   He
    iris            none      12       79.1   -42.4 ± 7.5    -43.6 ± 7.0      -47.3 ± 7.5
    digits          none      12       91.5    -1.1 ± 0.2     -7.1 ± 0.2       -8.3 ± 0.2
    mnist (2,000)   none      12       87.9    -0.6 ± 0.3     -1.8 ± 0.3       -1.9 ± 0.4
    classification  64, 32    12       67.8    -4.5 ± 0.6     -4.3 ± 0.5       -8.7 ± 1.0
    classification  256, 128  12       75.2    -0.9 ± 0.3     -0.5 ± 0.4       -3.2 ± 0.5
    classification  256, 128  60       74.6    -0.9 ± 0.6     +0.1 ± 0.7       -0.9 ± 0.5
    rings           256, 128  12       87.2    -0.7 ± 0.4     -2.0 ± 0.4      -40.4 ± 1.0
    iris            256, 128  12       88.7    -1.3 ± 0.7     -2.4 ± 1.0       -1.1 ± 2.0
    moons           256, 128  12       94.1     0.0 ± 0.2     -0.3 ± 0.3       -4.9 ± 0.5
    words           256, 128  12       99.8    +0.1 ± 0.0     -0.2 ± 0.1       -0.2 ± 0.1
    digits          256, 128  12       97.7    -0.2 ± 0.1     -0.1 ± 0.2       -0.6 ± 0.1
    mnist (2,000)   256, 128  12       90.3     0.0 ± 0.1     -0.5 ± 0.2       -1.1 ± 0.3
    digits          30 of 64  12       82.6   -72.5 ± 3.6    -18.7 ± 6.1       +3.4 ± 4.4

All nine sets, with 12 and 60 epochs, are in benchmarks/README.md. In two of these 54 rows PyTorch or scikit-learn
is ahead by more than two standard errors: by 0.1 points (words, above) and 0.4 (moons, 64, 32, 60 epochs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector
from dpnet.compute.random import INITIALISE, random_bits
from dpnet.nn.layout import Layout

FIRST = 0.1
"""Variance of z in the first layer, for inputs with a mean square of 1."""
SHRINK, HALVINGS = 1 / 6, 8
"""Factor of a ReLU layer on the variance of z; and the least factor of all layers together, as a power of 1/2."""
IS_RELU = {"relu": True, "leaky_relu": True, "tanh": False, "sigmoid": False, "identity": False}
"""Whether an activation passes only one half of its inputs, by its name."""


def variance(activation: str, sizes: Sequence[int], layer: int) -> float:
    """Variance of the weights of a layer, and of the biases of a hidden layer.

    Args:
        activation: a name in `IS_RELU`.
        sizes: the number of inputs, of units of each hidden layer, and of classes.
        layer: from 0; the last is the output layer.
    """
    fan_in, fan_out = sizes[layer : layer + 2]
    last = len(sizes) - 2
    if last == 0:
        return 0.0
    if layer == 0:
        return FIRST / fan_in
    if IS_RELU[activation] and layer < last:
        # Rounded, because the last bits of a power differ between libraries of mathematics.
        return max(SHRINK, round(2 ** (-HALVINGS / (last - 1)), 6)) * 2 / fan_in
    return 2 / (fan_in + fan_out)


def initialize(layout: Layout, activation: str, seed: int, params: Vector) -> None:
    """Overwrites `params` with initial parameters: uniform weights and hidden biases; output biases and padding 0.

    A parameter depends only on (seed, layer, its place in the layer), the variance and the widths of its layer, in
    every version of numpy: the bits come from `random_bits`, and all arithmetic on them is exact or correctly rounded.

    Args:
        layout: of the network.
        activation: a name in `IS_RELU`.
        seed: of the job.
        params: (layout.size,), float32 or float64. The float32 numbers are the float64 ones, rounded.
    """
    params[:] = 0
    last = len(layout.sizes) - 2
    for layer, (weight, bias) in enumerate(layout.views(params)):
        limit = math.sqrt(3 * variance(activation, layout.sizes, layer))
        drawn = limit * (2 * _uniform(weight.size + bias.size, seed, layer) - 1)
        weight.T[...] = drawn[: weight.size].reshape(weight.T.shape)
        if layer < last:
            bias[...] = drawn[weight.size :]


def _uniform(count: int, seed: int, layer: int) -> npt.NDArray[np.float64]:
    """`count` numbers in [0, 1), multiples of 2^-53: a float64 holds the 53 high bits of a word exactly."""
    bits = random_bits(count, seed=seed, purpose=INITIALISE, index=layer)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
