"""The parameters that a training begins with: those that are given, and a last layer that starts anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.compute.arrays import Vector, aligned_zeros
from dpnet.config.job import Job
from dpnet.data.scaling import Scaling
from dpnet.errors import CheckpointError, ConfigError
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.training.pretrained.find import Pretrained


class Transfer(NamedTuple):
    """What a training begins with.

    Attributes:
        params: (layout.size,) its parameters.
        scaling: of its inputs and targets; without targets, these are measured; None: both are.
        told: lines for the user.
    """

    params: Vector
    scaling: Scaling | None
    told: list[str]


class Begun:
    """Parameters for the network of a job: those that are given, and a last layer that starts anew if `why` says so.

    Attributes:
        head: a line on where they come from.
        anew: a line on the last layer, if it starts anew.
    """

    def __init__(self, pretrained: Pretrained, job: Job, layout: Layout, why: str) -> None:
        self._pretrained, self._job, self._layout = pretrained, job, layout
        last = layout.tensors[-1].name.partition(".")[0]
        self._given = [tensor.name for tensor in layout.tensors if not (why and tensor.name.startswith(f"{last}."))]
        self.head = f"begins with the parameters of {pretrained.words} (digest {pretrained.record['digest'][:12]}...)"
        self.anew = [f"the last layer, {last}, starts anew: {why}"] if why else []
        if why and not self._given:
            raise CheckpointError(
                f"{pretrained.words} has nothing to begin with: {why}, and the network has no other layer; leave "
                "model.pretrained (--from) out"
            )
        if why and last in job.model.freeze:
            raise ConfigError(
                f"model.freeze has {last!r}, but this layer starts anew: {why}; it has to be trained, take it out"
            )

    def params(self, tensors: Mapping[str, npt.NDArray[Any]]) -> Vector:
        """The parameters, flat; `tensors` by their names in the network."""
        params = aligned_zeros(self._layout.size, self._job.model.dtype)
        initialize(self._layout, self._job.model.activation, self._job.train.seed, params)
        named = self._layout.named(params)
        for name in self._given:
            with np.errstate(over="ignore"):
                named[name][...] = tensors[name]
            if not (finite := np.isfinite(named[name])).all():
                seen = f"{self._pretrained.words}: tensor {name} holds the value {tensors[name][~finite][0]}"
                raise CheckpointError(f"{seen}; expected numbers that {self._job.model.dtype} can hold")
        return params
