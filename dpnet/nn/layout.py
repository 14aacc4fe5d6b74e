"""The layout of a network: where every layer's weight and bias lie in one flat vector.

Parameters, gradients and optimizer vectors all have this layout:

    0.weight | 0.bias | 2.weight | 2.bias | ... | zeros up to a multiple of GRAIN

A weight is stored as (inputs, outputs), C order: the fastest order for its three matrix products together, most of all
on several threads (measured in benchmarks/README.md). By name it has PyTorch's shape, (outputs, inputs), as the
transposed view; checkpoints store this shape.

A layer may be frozen: its parameters stay as they are, and nothing computes a gradient for them. Its elements remain in
every vector, where gradients and optimizer vectors are 0.

Each tensor starts at a multiple of `ALIGNMENT`; the elements between two tensors are padding and stay 0: no gradient
reaches them, so no optimizer moves them. A flat vector is reduced, updated and stored as a whole, and can be cut into
slices without regard to layers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.shares import round_up

ALIGNMENT = 16
"""Elements; 64 bytes, one cache line, in float32."""

GRAIN = 1024
"""Elements. The length of a flat vector is a multiple of GRAIN, so the vector can be cut at multiples of GRAIN."""

Views = list[tuple[Matrix, Vector]]
"""Weight (inputs, outputs) and bias (outputs,) of every layer, as views into one flat vector."""


@dataclass(frozen=True)
class Tensor:
    """One weight or bias in the flat vector.

    Attributes:
        name: as in `torch.nn.Sequential(Linear, activation, Linear, ...)`: "0.weight", "0.bias", "2.weight", ...
        shape: PyTorch's: (outputs, inputs) of a weight, (outputs,) of a bias.
        start: its first element in the flat vector.
        stop: one past its last element.
        is_bias: False for a weight. Weight decay usually spares biases.
        is_frozen: it is not trained.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int
    is_bias: bool
    is_frozen: bool = False


class Layout:
    """The flat layout of a network.

    Args:
        sizes: widths from the input to the output: (inputs, hidden..., classes). At least two, each at least 1.
        frozen: names of the layers that are not trained, "0", "2", ...; not all of them.

    Attributes:
        sizes: the widths, as a tuple.
        tensors: every weight and bias, in the order of the flat vector.
        size: length of the flat vector with padding, a multiple of `GRAIN`.
        num_params: number of parameters, without padding.
        frozen: the layers that are not trained, from 0.
        lowest: the lowest layer that is trained. A gradient need not go back any further.
        trained: the elements from the first to the last tensor that is trained; all of them if none is frozen.
    """

    def __init__(self, sizes: Sequence[int], frozen: Collection[str] = ()) -> None:
        assert len(sizes) >= 2, sizes
        assert min(sizes) >= 1, sizes
        self.sizes = tuple(sizes)
        tensors: list[Tensor] = []
        end = 0
        for layer, (num_inputs, num_outputs) in enumerate(pairwise(sizes)):
            # Numbers go up by two: in torch.nn.Sequential the activation between two Linears is numbered, too.
            for kind, shape in (("weight", (num_outputs, num_inputs)), ("bias", (num_outputs,))):
                start = round_up(end, ALIGNMENT)
                end = start + math.prod(shape)
                name, is_bias = str(2 * layer), kind == "bias"
                tensors.append(Tensor(f"{name}.{kind}", shape, start, end, is_bias, name in frozen))
        self.tensors = tuple(tensors)
        self.size = round_up(end, GRAIN)
        self.num_params = sum(tensor.stop - tensor.start for tensor in tensors)
        trained = [place for place, tensor in enumerate(tensors) if not tensor.is_frozen]
        self.frozen = frozenset(place // 2 for place, tensor in enumerate(tensors) if tensor.is_frozen)
        self.lowest = trained[0] // 2
        stop = self.size if trained[-1] == len(tensors) - 1 else tensors[trained[-1]].stop
        self.trained = slice(tensors[trained[0]].start, stop)

    def named(self, flat: Vector) -> dict[str, Vector | Matrix]:
        """Views of `flat` (size,) by name, in PyTorch's shapes and in the order of the flat vector."""
        assert flat.shape == (self.size,), (flat.shape, self.size)
        return {tensor.name: flat[tensor.start : tensor.stop].reshape(tensor.shape[::-1]).T for tensor in self.tensors}

    def views(self, flat: Vector) -> Views:
        """Views of `flat` (size,) as (weight, bias) of each layer."""
        arrays = [array.T for array in self.named(flat).values()]
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def dbiases(self, grad: Vector) -> list[Vector]:
        """Where the gradients of the biases go: into `grad` (size,), and for frozen layers into memory of their own."""
        biases = [bias for _, bias in self.views(grad)]
        return [np.zeros_like(bias) if layer in self.frozen else bias for layer, bias in enumerate(biases)]
