"""Passes: the calls that take given arrays forward or back through a network, put together once and kept.

A training brings the same few arrays in every step. So a pass is made when its arrays come for the first time, and is
found by their ids from then on: of a short step this saves a tenth. A pass holds on to every array and list by whose id
it is found, because an id is unique only among objects that are alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from dpnet.compute.arrays import Matrix, Vector
from dpnet.nn.layers import Call, Layer
from dpnet.nn.layout import Views

K = TypeVar("K")
T = TypeVar("T")

MAX_KEPT = 256
"""Passes that are kept. A training has one to four: two banks of parameters, and a shorter last batch."""


class WeightGradients(Protocol):
    """What writes a gradient: a backward pass, or something that stands in for one."""

    def weight_gradients(self, dweights: Sequence[Matrix]) -> None:
        """Write the gradient of the weight of every layer into `dweights`."""


@dataclass(eq=False)
class BackwardPass:
    """The way back from the gradient of the logits. It leaves the gradient of every bias, and dz of every layer.

    Attributes:
        dbiases: where the gradients of the biases go.
        calls: for each layer, from the logits to the lowest that is trained: the one through its activation, and those
            after it: hooks, and the one through its weights, see Layer.
        factors: (number, layer, x, dz) of every layer that is trained, from the input on; numbers begin with 0. The
            gradient of its weight is x^T dz.
        finite: whether every gradient of a bias was finite in the last run. If so, every dz was.
    """

    dbiases: Sequence[Vector]
    calls: list[tuple[Callable[[], bool], list[Call]]] = field(default_factory=list)
    factors: list[tuple[int, Layer, Matrix, Matrix]] = field(default_factory=list)
    finite: bool = True
    _gradients: dict[int, tuple[Sequence[Matrix], list[Call]]] = field(default_factory=dict)

    def run(self) -> None:
        """Go back through all layers."""
        finite = True
        for through_activation, calls in self.calls:
            finite &= through_activation()
            for call in calls:
                call()
        self.finite = finite

    def weight_gradients(self, dweights: Sequence[Matrix]) -> None:
        """Write the gradient of every weight that is trained, for the samples of the last run.

        Args:
            dweights: of every layer; overwritten, with zeros if there are no rows; those of frozen layers are left.
        """
        found = self._gradients.get(id(dweights))
        if found is None:
            calls = [layer.weight_gradient(x, dz, dweights[number]) for number, layer, x, dz in self.factors]
            found = keep(self._gradients, id(dweights), (dweights, calls))
        for call in found[1]:
            call()


@dataclass(eq=False)
class ForwardPass:
    """The way from samples to their logits, in one place of the buffers.

    Attributes:
        params: views of the parameters.
        first: row of the buffers in which the first sample lies.
        calls: in order.
        inputs: x of every layer.
        outputs: a of every layer; the last are the logits.
        backward: the ways back from here, by the ids of what they are made from and into.
    """

    params: Views
    first: int
    calls: list[Call] = field(default_factory=list)
    inputs: list[Matrix] = field(default_factory=list)
    outputs: list[Matrix] = field(default_factory=list)
    backward: dict[tuple[int, int], BackwardPass] = field(default_factory=dict)

    def run(self) -> Matrix:
        """Compute the logits."""
        for call in self.calls:
            call()
        return self.outputs[-1]


def keep(kept: dict[K, T], key: K, value: T) -> T:
    """Put `value` among what is kept, of which there are never more than `MAX_KEPT`, and return it."""
    if len(kept) >= MAX_KEPT:
        kept.clear()
    kept[key] = value
    return value
