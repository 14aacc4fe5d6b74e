"""The layout of a network: where every layer's weight and bias lie in one flat vector.

Parameters, gradients and optimizer vectors all have this layout:

    0.weight | 0.bias | 2.weight | 2.bias | ... | zeros up to a multiple of GRAIN

A weight is stored as (inputs, outputs), C order: the fastest order for its three matrix products together, most of all
on several threads (measured in benchmarks/README.md). By name it has PyTorch's shape, (outputs, inputs), as the
transposed view; checkpoints store this shape.

Each tensor starts at a multiple of `ALIGNMENT`; the elements between two tensors are padding and stay 0: no gradient
reaches them, so no optimizer moves them. A flat vector is reduced, updated and stored as a whole, and can be cut into
slices without regard to layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int
    is_bias: bool


class Layout:
    """The flat layout of a network.

    Args:
        sizes: widths from the input to the output: (inputs, hidden..., classes). At least two, each at least 1.

    Attributes:
        sizes: the widths, as a tuple.
        tensors: every weight and bias, in the order of the flat vector.
        size: length of the flat vector with padding, a multiple of `GRAIN`.
        num_params: number of parameters, without padding.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
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
                tensors.append(Tensor(f"{2 * layer}.{kind}", shape, start, end, is_bias=kind == "bias"))
        self.tensors = tuple(tensors)
        self.size = round_up(end, GRAIN)
        self.num_params = sum(tensor.stop - tensor.start for tensor in tensors)

    def named(self, flat: Vector) -> dict[str, Vector | Matrix]:
        """Views of `flat` (size,) by name, in PyTorch's shapes and in the order of the flat vector."""
        assert flat.shape == (self.size,), (flat.shape, self.size)
        return {tensor.name: flat[tensor.start : tensor.stop].reshape(tensor.shape[::-1]).T for tensor in self.tensors}

    def views(self, flat: Vector) -> Views:
        """Views of `flat` (size,) as (weight, bias) of each layer."""
        arrays = [array.T for array in self.named(flat).values()]
        return list(zip(arrays[::2], arrays[1::2], strict=True))
