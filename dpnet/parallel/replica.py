"""Builds what takes samples to their loss: for training, for scores, for predictions."""

from __future__ import annotations

from dpnet.compute.arrays import Zeros, aligned_zeros
from dpnet.compute.backend import Backend
from dpnet.config.job import ModelConfig
from dpnet.data.dataset import Dataset
from dpnet.data.scaling import Scaling
from dpnet.data.split import Split
from dpnet.nn.layout import Layout
from dpnet.nn.losses.softmax_nll import SoftmaxNLL
from dpnet.nn.network import MLP


def build_network(
    model: ModelConfig,
    split: Split,
    scaling: Scaling,
    layout: Layout,
    rows: int,
    backend: Backend,
    zeros: Zeros = aligned_zeros,
) -> tuple[Dataset, MLP, SoftmaxNLL]:
    """From samples to their loss, for batches of up to `rows`; `zeros` gives all buffers that rows lie in."""
    products, loops, dtype = backend.products, backend.kernels.loops, model.dtype
    return (
        build_dataset(model, split, scaling, rows, backend, zeros),
        MLP(layout, model.activation, max_rows=rows, dtype=dtype, products=products, loops=loops, zeros=zeros),
        SoftmaxNLL(rows, layout.sizes[-1], dtype, loops),
    )


def build_dataset(
    model: ModelConfig, split: Split, scaling: Scaling, rows: int, backend: Backend, zeros: Zeros = aligned_zeros
) -> Dataset:
    """Scaled samples, up to `rows` at a time."""
    return Dataset(split, scaling, max_rows=rows, dtype=model.dtype, loops=backend.kernels.loops, zeros=zeros)
