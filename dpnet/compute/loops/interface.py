"""The interface of the element-wise loops, and what a training takes along with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Bits, Halves, Indices, Labels, Matrix, Vector

Raw = npt.NDArray[Any]
"""(n, features) samples as they were read, of any real dtype."""


class Loops(Protocol):
    """The functions of `reference`, which documents them."""

    def gather(  # noqa: D102
        self, raw: Raw, all_labels: Labels, ids: Indices, offset: Vector, factor: Vector, x: Matrix, labels: Labels
    ) -> None: ...
    def add_bias(self, z: Matrix, bias: Vector) -> None: ...  # noqa: D102
    def add_bias_relu(self, z: Matrix, bias: Vector) -> None: ...  # noqa: D102
    def column_sums(self, dy: Matrix, dbias: Vector) -> bool: ...  # noqa: D102
    def relu_backward(self, a: Matrix, da: Matrix, dbias: Vector) -> bool: ...  # noqa: D102
    def pack(self, values: Bits, present: npt.NDArray[np.uint8], packed: Bits) -> int: ...  # noqa: D102
    def unpack(self, present: npt.NDArray[np.uint8], packed: Bits, values: Bits) -> None: ...  # noqa: D102
    def softmax_shift(self, logits: Matrix, labels: Labels, at_label: Vector) -> int: ...  # noqa: D102
    def softmax_gradient(self, p: Matrix, labels: Labels, total: Vector, scale: float) -> None: ...  # noqa: D102
    def softmax_loss(self, log_total: Vector, at_label: Vector) -> float: ...  # noqa: D102
    def sum_tile(self, vectors: Matrix, joins: Indices, start: int, stop: int, work: Matrix) -> None: ...  # noqa: D102
    def sum_rows(self, vectors: Matrix, joins: Indices, offset: int, work: Matrix, out: Matrix) -> None: ...  # noqa: D102
    def to_bfloat16(self, numbers: Vector, out: Halves) -> None: ...  # noqa: D102
    def from_bfloat16(self, halves: Halves, out: Vector) -> None: ...  # noqa: D102


Rule = Callable[..., None]
"""An update rule as one compiled loop; `compiled_rules` lists the arguments."""


@dataclass(frozen=True)
class Kernels:
    """The loops and update rules of a training.

    Attributes:
        name: "numpy" or "numba".
        loops: the functions of `reference`.
        rules: compiled update rules, by name. An optimizer whose rule is missing updates in numpy.
    """

    name: str
    loops: Loops
    rules: dict[str, Rule]


def can_gather(dtype: np.dtype[Any]) -> bool:
    """Whether compiled loops can read raw samples of `dtype`."""
    return dtype.isnative and dtype.char in "?bBhHiIlLqQfd"
