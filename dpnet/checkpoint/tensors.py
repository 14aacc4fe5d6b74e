"""Conversion of flat vectors to the named tensors of a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dpnet.checkpoint.format import Checkpoint, Tensors
from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Layout


def optimizer_tensors(layout: Layout, slots: Mapping[str, Vector]) -> Tensors:
    """The optimizer's vectors as a checkpoint keeps them: views, by parameter and slot."""
    return {f"{name}.{slot}": array for slot, whole in slots.items() for name, array in layout.named(whole).items()}


def state_vectors(
    found: Checkpoint, layout: Layout, slot_names: tuple[str, ...], dtype: npt.DTypeLike
) -> tuple[Vector, dict[str, Vector]]:
    """The parameters and optimizer vectors of a checkpoint, flat, as the state of a training takes them.

    Raises:
        CheckpointError: a tensor is missing, or has another shape or dtype, or a parameter is not finite.
    """
    params = parameters(found, layout, dtype)
    return params, {slot: flatten(found.optimizer, layout, "{}." + slot, dtype) for slot in slot_names}


def parameters(found: Checkpoint, layout: Layout, dtype: npt.DTypeLike) -> Vector:
    """The parameters of a checkpoint, flat.

    Raises:
        CheckpointError: a tensor is missing, or has another shape or dtype, or a number in it is not finite.
    """
    params = flatten(found.model, layout, "{}", dtype)
    for name, tensor in layout.named(params).items():
        if not (finite := np.isfinite(tensor)).all():
            raise CheckpointError(
                f"tensor {name} of the checkpoint holds the value {tensor[~finite][0]}; expected finite numbers: this "
                "network computes nothing; take another checkpoint"
            )
    return params


def flatten(tensors: Tensors, layout: Layout, pattern: str, dtype: npt.DTypeLike) -> Vector:
    """A flat vector, filled with the tensors whose names follow from the layout's by `pattern`.

    Raises:
        CheckpointError: a tensor is missing, or has another shape or dtype.
    """
    flat = aligned_zeros(layout.size, dtype)
    for name, target in layout.named(flat).items():
        key = pattern.format(name)
        tensor = tensors.get(key)
        if tensor is None or tensor.shape != target.shape or tensor.dtype != target.dtype:
            seen = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise CheckpointError(
                f"tensor {key} of the checkpoint is {seen}; expected {target.dtype} {list(target.shape)}"
            )
        target[...] = tensor
    return flat
