"""Which kernels a training runs on: numpy, or compiled loops where numba is installed. Their bits are the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Indices, Labels, Matrix, Vector
from dpnet.compute.loops import reference
from dpnet.errors import ConfigError

Raw = npt.NDArray[Any]


class Loops(Protocol):
    """The functions of `reference`."""

    def gather(  # noqa: D102
        self, raw: Raw, all_labels: Labels, ids: Indices, offset: Vector, factor: Vector, x: Matrix, labels: Labels
    ) -> None: ...
    def add_bias(self, z: Matrix, bias: Vector) -> None: ...  # noqa: D102
    def add_bias_relu(self, z: Matrix, bias: Vector) -> None: ...  # noqa: D102
    def column_sums(self, dy: Matrix, dbias: Vector) -> bool: ...  # noqa: D102
    def relu_backward(self, a: Matrix, da: Matrix, dbias: Vector) -> bool: ...  # noqa: D102
    def softmax_shift(self, logits: Matrix, labels: Labels, at_label: Vector) -> int: ...  # noqa: D102
    def softmax_gradient(self, p: Matrix, labels: Labels, total: Vector, scale: float) -> None: ...  # noqa: D102
    def softmax_loss(self, log_total: Vector, at_label: Vector) -> float: ...  # noqa: D102
    def sum_block(self, vectors: Matrix, joins: Indices, start: int, stop: int, work: Matrix) -> None: ...  # noqa: D102
    def sum_rows(self, vectors: Matrix, joins: Indices, offset: int, work: Matrix, out: Matrix) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Kernels:
    """The kernels of a training.

    Attributes:
        name: "numpy" or "numba".
        loops: the functions of `reference`.
        rules: update rules in one pass, by name (see `rules`); without one an optimizer updates in numpy.
    """

    name: str
    loops: Loops
    rules: dict[str, Callable[..., None]]


NUMPY = Kernels("numpy", reference, {})


def choose_kernels(setting: str) -> Kernels:
    """The kernels that `train.kernels` asks for; "auto": compiled ones where numba is installed.

    Raises:
        ConfigError: numba is asked for, and is not installed.
    """
    if setting == "numpy" or (setting == "auto" and not numba_is_installed()):
        return NUMPY
    if not numba_is_installed():
        raise ConfigError('train.kernels is "numba", which is not installed; pip install \'dpnet[fast]\', or "auto"')

    # Not above: this imports numba, and takes half a second.
    from dpnet.compute.loops import compiled
    from dpnet.compute.loops import compiled_rules as rules

    return Kernels("numba", compiled, {"sgd": rules.sgd, "momentum": rules.momentum, "adaptive": rules.adaptive})


def numba_is_installed() -> bool:
    """Whether the extra `fast` is there."""
    return importlib.util.find_spec("numba") is not None


def can_gather(dtype: np.dtype[Any]) -> bool:
    """Whether compiled loops can read raw data of that type."""
    return dtype.isnative and dtype.char in "?bBhHiIlLqQfd"
