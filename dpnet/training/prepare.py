"""The data of a training: opened, checked and measured, by all ranks together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.compute.shares import share
from dpnet.config.job import DataConfig
from dpnet.data import statistics
from dpnet.data.identity import identity
from dpnet.data.scaling import Scaling, fit
from dpnet.data.sources import DataSource, Split, check_classes, open_source


@dataclass(frozen=True)
class Data:
    """The data of a training.

    Attributes:
        source: training and test samples.
        identity: what tells this training data from other data.
    """

    source: DataSource
    identity: dict[str, Any]


def open_data(section: DataConfig, group: Group) -> Data:
    """Open the data on every rank.

    Raises:
        DataError: the data cannot be read, or cannot be trained on.
    """
    source = everywhere(group, lambda: check_classes(open_source(section.source)))
    return Data(source, on_root(group, lambda: identity(source)))


def measure_scaling(section: DataConfig, source: DataSource, group: Group) -> Scaling:
    """Check all inputs, and find the scaling that suits those of the training data.

    Raises:
        DataError: an input is not finite.
    """
    measured = measure(source.train, group, check=section.check)
    if source.test is not None and section.check:
        measure(source.test, group, check=True)
    return everywhere(group, lambda: fit(section.scale, measured))


def measure(split: Split, group: Group, *, check: bool) -> statistics.Moments:
    """Statistics of a split, the same bits for every world_size; every rank reads a share of it.

    Raises:
        DataError: an input is not finite, and `check` is set.
    """
    chunks = statistics.chunks(len(split))
    mine = chunks[slice(*share(len(chunks), group.rank, group.world_size))]
    measured = everywhere(group, lambda: [statistics.measure(split, chunk, check=check) for chunk in mine])
    return statistics.combine([part for share in group.allgather(measured) for part in share])
