"""What a checkpoint holds once it is read: a network, and what its inputs and outputs mean; checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import job_of
from dpnet.checkpoint.tensors import parameters
from dpnet.compute.arrays import Vector
from dpnet.config.job import Job
from dpnet.data.classes import Classes, plain_classes, recorded_classes
from dpnet.data.missing.fills import Fills, fills_of_schema, recorded_fills
from dpnet.data.scaling import Scaling, check_targets_scaling
from dpnet.data.tables.schema import Schema, recorded_schema
from dpnet.data.tasks import KINDS
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Layout


@dataclass(frozen=True)
class Contents:
    """The network of a checkpoint.

    Attributes:
        job: configuration of its training.
        layout: of its parameters.
        params: (layout.size,) its parameters, finite.
        scaling: of its inputs, and of the targets of a regression.
        classes: the labels that its outputs stand for, in order; none of a regression.
        schema: what the columns of a table become; None: it was trained on arrays.
        fills: what stands for missing values of arrays, also where the columns of a table come as such; None: nothing.
        data: what is recorded of the data that it was trained on, see `identity.identity`.
    """

    job: Job
    layout: Layout
    params: Vector
    scaling: Scaling
    classes: Classes
    schema: Schema | None
    fills: Fills | None
    data: Mapping[str, Any]


def contents_of(found: Checkpoint) -> Contents:
    """The network of a checkpoint.

    Raises:
        CheckpointError: what is in it does not fit together, or a parameter is not finite.
    """
    job, sizes = job_of(found), found.manifest["sizes"]
    scaling = Scaling.from_tensors(found.scaling)
    fits = tuple(sizes[1:-1]) == job.model.hidden_layers and {len(scaling.offset), len(scaling.factor)} <= {1, sizes[0]}
    classes = classes_of(found)
    check_targets_scaling(scaling, job.model.task, sizes[-1])
    if not fits:
        raise _other_sizes(found)
    layout = Layout(sizes)
    params = parameters(found, layout, job.model.dtype)
    data = found.manifest["data"]
    try:
        schema = recorded_schema(data.get("schema"), layout.sizes[0])
    except ValueError as error:
        raise CheckpointError(f"the checkpoint cannot be used: {error}") from error
    fills = fills_of(found)
    if schema is not None and fills is not None:
        raise CheckpointError("the checkpoint cannot be used: it was trained on a table, and on arrays; use another")
    return Contents(job, layout, params, scaling, classes, schema, fills or fills_of_schema(schema), data)


def fills_of(found: Checkpoint) -> Fills | None:
    """What stands for missing values of the arrays that the network of a checkpoint was trained on; None: nothing.

    Raises:
        CheckpointError: what is recorded is not that of such a network.
    """
    try:
        return recorded_fills(found.manifest["data"].get("fills"), found.manifest["sizes"][0])
    except ValueError as error:
        raise CheckpointError(f"the checkpoint cannot be used: {error}") from error


def classes_of(found: Checkpoint) -> Classes:
    """The classes that the outputs of a checkpoint's network stand for; none of a regression.

    Raises:
        CheckpointError: the parameters are not those of the sizes, or what is recorded are not labels of so many
            classes.
    """
    sizes = found.manifest["sizes"]
    # Before memory is taken for as many classes and parameters as the sizes claim.
    if checkpoint.count_params(sizes) != sum(array.size for array in found.model.values()):
        raise _other_sizes(found)
    kind = KINDS[job_of(found).model.task]
    if kind.are_scaled:
        return plain_classes(0)
    try:
        return recorded_classes(found.manifest["data"].get("labels"), sizes[-1], in_order=kind.in_rows)
    except ValueError as error:
        raise CheckpointError(f"the checkpoint cannot be used: {error}") from error


def _other_sizes(found: Checkpoint) -> CheckpointError:
    sizes = found.manifest["sizes"]
    return CheckpointError(f"the tensors of the checkpoint are not those of a network of sizes {sizes!r:.60}")
