"""A replica: what takes samples to their loss on one rank, for training, for scores and for predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dpnet.compute.arrays import Vector, Zeros, aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.compute.loops.interface import Loops
from dpnet.config.model import ModelConfig, Task
from dpnet.data.dataset import Dataset
from dpnet.data.scaling import Scaling
from dpnet.data.split import Split
from dpnet.nn.layout import Layout
from dpnet.nn.losses.binary_nll import BinaryNLL
from dpnet.nn.losses.interface import Loss
from dpnet.nn.losses.regression import AbsoluteError, HuberError, SquaredError
from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.nn.network import MLP
from dpnet.parallel.label_scores import OfLabels
from dpnet.parallel.scores import OfClasses, OfNumbers, Scorer


@dataclass(frozen=True)
class Replica:
    """What takes samples to their loss. It has buffers, and no parameters: those are the node's.

    Attributes:
        dataset: gathers samples and their labels.
        network: takes samples to logits, and goes back.
        loss: takes outputs to the loss and its gradient.
        scorer: takes outputs to scores.
    """

    dataset: Dataset
    network: MLP
    loss: Loss
    scorer: Scorer


def build_replica(
    model: ModelConfig,
    split: Split,
    scaling: Scaling,
    layout: Layout,
    rows: int,
    backend: Backend,
    zeros: Zeros = aligned_zeros,
    *,
    label_smoothing: float = 0.0,
) -> Replica:
    """A replica for up to `rows` samples at a time; `zeros` makes all buffers in which samples have rows."""
    products, loops, dtype = backend.products, backend.kernels.loops, model.dtype
    dataset = build_dataset(model, split, scaling, rows, backend, zeros)
    network = MLP(layout, model.activation, max_rows=rows, dtype=dtype, products=products, loops=loops, zeros=zeros)
    loss, scorer = ENDS[model.task](_End(model, scaling, layout, rows, loops, label_smoothing, dataset))
    return Replica(dataset, network, loss, scorer)


class _End(NamedTuple):
    """What the end of a network is made of; see `build_replica`."""

    model: ModelConfig
    scaling: Scaling
    layout: Layout
    rows: int
    loops: Loops
    label_smoothing: float
    dataset: Dataset


def _of_classes(end: _End) -> tuple[Loss, Scorer]:
    classes, dtype = end.layout.sizes[-1], end.model.dtype
    loss = SoftmaxNLL(end.rows, classes, dtype, end.loops, smoothing=end.label_smoothing)
    return loss, OfClasses(loss)


def _of_numbers(end: _End) -> tuple[Loss, Scorer]:
    assert end.scaling.targets is not None
    loss = LOSSES[end.model.loss](end.model, end.rows, end.scaling.targets.units)
    return loss, OfNumbers(loss, end.scaling.targets, end.dataset.heaviest_targets)


def _of_labels(end: _End) -> tuple[Loss, Scorer]:
    labels = end.layout.sizes[-1]
    loss = BinaryNLL(end.rows, labels, end.model.dtype)
    return loss, OfLabels(loss, labels)


ENDS: dict[Task, Callable[[_End], tuple[Loss, Scorer]]] = {
    "classification": _of_classes,
    "regression": _of_numbers,
    "multilabel": _of_labels,
}
"""The loss and the scores of each task."""


LOSSES: dict[str, Callable[[ModelConfig, int, Vector], Loss]] = {
    "squared_error": lambda model, rows, units: SquaredError(rows, units),
    "absolute_error": lambda model, rows, units: AbsoluteError(rows, units),
    "huber": lambda model, rows, units: HuberError(rows, units, model.huber_delta),
}
"""The choices of model.loss."""


def build_dataset(
    model: ModelConfig, split: Split, scaling: Scaling, rows: int, backend: Backend, zeros: Zeros = aligned_zeros
) -> Dataset:
    """Scaled samples, up to `rows` at a time."""
    return Dataset(split, scaling, max_rows=rows, dtype=model.dtype, loops=backend.kernels.loops, zeros=zeros)
