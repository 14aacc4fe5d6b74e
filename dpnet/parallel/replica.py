"""A replica: what takes samples to their loss on one rank, for training, for scores and for predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dpnet.compute.arrays import Vector, Zeros, aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.config.model import ModelConfig
from dpnet.data.dataset import Dataset
from dpnet.data.scaling import Scaling
from dpnet.data.split import Split
from dpnet.nn.layout import Layout
from dpnet.nn.losses.interface import Loss
from dpnet.nn.losses.regression import AbsoluteError, HuberError, SquaredError
from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.nn.network import MLP
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
    if scaling.targets is None:
        classifies = SoftmaxNLL(rows, layout.sizes[-1], dtype, loops, smoothing=label_smoothing)
        return Replica(dataset, network, classifies, OfClasses(classifies))
    loss = LOSSES[model.loss](model, rows, scaling.targets.units)
    return Replica(dataset, network, loss, OfNumbers(loss, scaling.targets, dataset.heaviest_targets))


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
