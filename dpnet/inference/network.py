"""A trained network, read from a checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.contents import contents_of
from dpnet.checkpoint.folder import Picked, pick
from dpnet.checkpoint.format import Checkpoint
from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.alike import check_alike
from dpnet.comm.connect import connect
from dpnet.comm.group import Group, World
from dpnet.compute.products.mkl import MklProducts
from dpnet.compute.threads import threads_kept
from dpnet.config.job import Job
from dpnet.data.classes import Classes
from dpnet.data.missing.fills import Fills
from dpnet.data.scaling import Scaling
from dpnet.data.tables.schema import Schema
from dpnet.nn.layout import Layout, Views
from dpnet.training.setup import Setup, choose_available_backend


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        job: configuration of its training.
        step: steps it was trained for.
        layout: of its parameters.
        params: its parameters, layer by layer.
        scaling: of its inputs, and of the targets of a regression: `scaling.targets`.
        classes: the labels that its outputs stand for, in order; none of a regression.
        schema: what the columns of a table become; None: it was trained on arrays.
        fills: see `contents.Contents`.
        checkpoint: directory of the checkpoint that it was read from; None: it was not read from a directory.
        which: "best" or "newest": this checkpoint of the run whose path was given; empty: the path was its own.
        data: what its checkpoint records of the data that it was trained on, see `identity.identity`.
    """

    job: Job
    step: int
    layout: Layout
    params: Views
    scaling: Scaling
    classes: Classes
    schema: Schema | None
    fills: Fills | None = None
    checkpoint: Path | None = None
    which: Literal["best", "newest", ""] = ""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def features(self) -> int:
        """Numbers of a sample that is given as an array."""
        return self.layout.sizes[0] if self.fills is None else self.fills.features

    def __repr__(self) -> str:
        """Its sizes and its origin, not its numbers."""
        sizes, which = "-".join(map(str, self.layout.sizes)), f", the {self.which} checkpoint" * bool(self.which)
        origin = f" from {self.checkpoint}" * bool(self.checkpoint)
        return f"Network({sizes}, {self.job.model.activation}, step {self.step}{origin}{which})"


def check_call(
    group: Group, call: str, source: Any, split: str | None, batch_size: int, nonfinite: str, **more: str
) -> None:
    """Check that all ranks make the same call of dpnet, with the same arguments; collective.

    Raises:
        ConfigError: they do not.
    """
    given = {
        "the data": str(source) if source is None or isinstance(source, str | os.PathLike) else "in memory",
        "the split": str(split),
        "the batch size": str(batch_size),
        "nonfinite": nonfinite,
    }
    check_alike(group, {"the call": f"dpnet.{call}", **{f"the {name}": value for name, value in more.items()}, **given})


def load_network(
    path: str | os.PathLike[str],
    group: Group | None = None,
    *,
    last: bool = False,
    tell: Callable[[str], object] | None = None,
) -> Network:
    """Read the network of a checkpoint; collective.

    Args:
        path: of a checkpoint, or of a run directory: its best checkpoint, or its newest if none is kept as the best.
        group: all ranks; found from the launcher's environment if not given.
        last: the newest of the run directory in any case.
        tell: is called on rank 0 with a sentence that says which checkpoint of a run directory it is.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or a parameter is not finite.
        ConfigError: ranks were given different paths, or `last` is asked of a checkpoint.
    """
    group = connect() if group is None else group
    check_alike(group, {"the call": "dpnet.load_network", "the path": str(path), "last": str(last)})

    def work() -> tuple[Checkpoint, Picked]:
        picked = pick(Path(path), last=last)
        if picked.text and tell is not None:
            tell(picked.text)
        return checkpoint.read(picked.path), picked

    found, picked = on_root(group, work)
    network = everywhere(group, lambda: make_network(found))
    return dataclasses.replace(network, checkpoint=picked.path, which=picked.which)


def make_network(found: Checkpoint) -> Network:
    """The network of a checkpoint.

    Raises:
        CheckpointError: what is in it does not fit together, or a parameter is not finite.
    """
    held = contents_of(found)
    params, of_inputs = held.layout.views(held.params), (held.schema, held.fills)
    return Network(held.job, found.step, held.layout, params, held.scaling, held.classes, *of_inputs, data=held.data)


@contextlib.contextmanager
def prepared(network: Network, group: World) -> Iterator[Setup]:
    """The setup of a trained network: that of its training, on these ranks; collective.

    What the training asked for by name, and is not installed here, is chosen as by "auto". The libraries of this
    process get their numbers of threads back at the end of the block.
    """
    MklProducts.may_grow = True  # A training may follow in this process.
    # Rows that overflow are looked for, see `inference.nonfinite`: numpy need not warn of them.
    with threads_kept(), np.errstate(all="ignore"):
        backend = choose_available_backend(network.job.train, group, network.layout.sizes)
        yield Setup(network.job, group, backend, network.layout, network.scaling)
