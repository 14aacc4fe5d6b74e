"""The model: a step takes what the node with the most to do computes, and then what nodes exchange.

What a node computes was measured, for several numbers of samples; between these the time is taken to be linear. The
exchange is that which a training would choose (see `parallel.exchange`), and costs what it would be told to cost. What
is left out: that nodes wait for the slowest of many, that some of the exchange is hidden behind products, the short
batch at the end of an epoch, and all that is not a step (evaluations, checkpoints).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dpnet.config.model import ModelConfig
from dpnet.nn.layout import Layout
from dpnet.parallel import cost, traffic
from dpnet.parallel.cost import COPIES, Cost, Shape, Speeds
from dpnet.parallel.exchange import Exchange, decide, only_sums
from dpnet.parallel.ways import Way
from dpnet.parallel.wire import WIRES
from dpnet.training.estimate.case import Case, Load

ROUNDED = 3
"""Times that a rank rounds numbers, or takes rounded ones back, beside its share of all parameters."""


class Point(NamedTuple):
    """What was measured of a node.

    Attributes:
        samples: that it computed in a step.
        step_s: seconds of the step.
        flops: see Speeds, with so many rows.
    """

    samples: int
    step_s: float
    flops: float


class Network(NamedTuple):
    """What nodes exchange messages over.

    Attributes:
        bytes_s: bytes a second that a node sends while all nodes send.
        latency_s: seconds of a message without content.
    """

    bytes_s: float
    latency_s: float


@dataclass(frozen=True)
class Outlook:
    """What is to be expected of a case.

    Attributes:
        case: the job on some nodes.
        compute_s: seconds of a step that a node computes.
        exchange: what travels between nodes, and what it costs.
        memory: bytes of a node, see `footprint`.
    """

    case: Case
    compute_s: float
    exchange: Exchange
    memory: float = 0.0

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        return self.compute_s + self.exchange.cost.seconds

    @property
    def samples_s(self) -> float:
        """Samples a second, of all nodes together."""
        return self.case.train.global_batch_size / self.step_s

    def is_like(self, other: Outlook) -> bool:
        """Whether the same is computed and exchanged."""
        ways = self.exchange.ways, other.exchange.ways
        return self.case.load == other.case.load and self.exchange.cost == other.exchange.cost and ways[0] == ways[1]

    @property
    def travels(self) -> str:
        """What travels between nodes, in a word."""
        ways = self.exchange.ways
        if self.case.nodes == 1:
            return "nothing"
        if ways is None:
            return "gradients" if not self.case.train.workers else "parameters"
        if not any(way.is_received for way in (*ways.x[1:], *ways.dz[:-1])):
            return "recompute"
        return "factors" if not any(way is Way.COMPUTED for way in (*ways.x[1:], *ways.dz)) else "some factors"


def interpolated(points: Mapping[Load, Point], load: Load) -> Point:
    """What was measured of a load, or is to be expected: on the line through the points of its kind beside it."""
    of_kind = sorted(point for measured, point in points.items() if measured.kind == load.kind)
    at, *values = zip(*of_kind, strict=True)
    step_s, flops = (float(np.interp(load.samples, at, of)) for of in values)
    return Point(load.samples, step_s, flops)


def exchange_of(case: Case, model: ModelConfig, layout: Layout, speeds: Speeds) -> Exchange:
    """What several nodes exchange in a step, as a training would choose it."""
    itemsize = np.dtype(model.dtype).itemsize
    shape = Shape(layout, itemsize, model.activation == "relu", case.nodes, case.ranks, case.plan.max_rows())
    if case.train.reducer == "allreduce" or only_sums(case.train):
        return Exchange(cost=_sums_cost(case, shape, speeds))
    return decide(case.train.exchange, shape, speeds)


def _sums_cost(case: Case, shape: Shape, speeds: Speeds) -> Cost:
    """The cost of exchanging sums of gradients in a step: rounded, in a fixed order, or in few of the steps.

    An allreduce of MPI is taken to be a ring.
    """
    train, layout = case.train, shape.layout
    travels_as = WIRES[train.wire].travels_as or f"f{shape.itemsize}"
    ring = traffic.ring(case.nodes, layout, travels_as)
    if not train.fixed_shards:
        return cost.sums_cost(shape, speeds, ring, COPIES + (ROUNDED if train.wire == "bfloat16" else 0))
    busiest = max(map(max, traffic.of_plan(case.plan, case.of_nodes, layout, travels_as)))
    meeting = cost.sums_cost(shape, speeds, busiest, COPIES * busiest / ring)
    return Cost(meeting.bytes / case.plan.exchange_every, meeting.seconds / case.plan.exchange_every)


def outlook(
    case: Case, model: ModelConfig, layout: Layout, network: Network | None, points: Mapping[Load, Point]
) -> Outlook:
    """What is to be expected of a case.

    Args:
        case: a job on some nodes.
        model: of the job.
        layout: of its parameters.
        network: between the nodes; None only where there is one.
        points: what was measured.
    """
    point = interpolated(points, case.load)
    if case.nodes == 1:
        return Outlook(case, point.step_s, Exchange())
    assert network is not None
    return Outlook(case, point.step_s, exchange_of(case, model, layout, Speeds(*network, point.flops)))
