"""The ways in which nodes get the factors of the gradient, and the messages in which what is sent leaves."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Array = tuple[str, int]
"""What is sent: "x" or "dz", and the number of its layer."""
X, DZ = "x", "dz"
EARLY_BYTES = 1 << 16
"""A shorter array waits for the next message: alone it would win less time than a message costs."""


class Way(enum.Enum):
    """How a node gets a factor of the rows of another."""

    NOT_NEEDED = "not needed"
    COMPUTED = "computed"
    RECEIVED = "received"

    @property
    def is_needed(self) -> bool:
        """Whether the node gets it at all."""
        return self is not Way.NOT_NEEDED

    @property
    def is_received(self) -> bool:
        """Whether the other node sends it."""
        return self is Way.RECEIVED


@dataclass(frozen=True)
class Ways:
    """How x and dz of every layer come to the other nodes.

    Attributes:
        x: the inputs of every layer; those of the first are samples, which each node gathers.
        dz: the gradients of every layer's z.
        sparse: whether zeros are worth looking for: behind a ReLU.
    """

    x: tuple[Way, ...]
    dz: tuple[Way, ...]
    sparse: bool

    def received_x(self) -> Iterator[int]:
        """The layers whose x is sent, in the order in which they are."""
        return (layer for layer, way in enumerate(self.x) if way.is_received)

    def received_dz(self) -> Iterator[int]:
        """The layers whose dz is sent, in the order in which they are: from the last."""
        return (layer for layer, way in reversed(list(enumerate(self.dz))) if way.is_received)


def width(sizes: Sequence[int], array: Array) -> int:
    """The columns of an array, in a network of these widths."""
    kind, layer = array
    return sizes[layer if kind == X else layer + 1]


def messages(ways: Ways, bytes_of: Callable[[Array], float]) -> list[list[Array]]:
    """The arrays, of so many bytes each, of every message to another rank, as they leave: of one message at least."""
    arrays: list[Array] = [*((X, layer) for layer in ways.received_x()), *((DZ, layer) for layer in ways.received_dz())]
    found: list[list[Array]] = [[]]
    for array in arrays:
        found[-1].append(array)
        if sum(map(bytes_of, found[-1])) >= EARLY_BYTES:
            found.append([])
    # What is complete last leaves with the numbers of the step.
    return found if found[-1] or len(found) == 1 else found[:-1]
