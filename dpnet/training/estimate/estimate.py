"""How long a step of a job takes on several numbers of nodes, and what would change that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpnet.comm.group import World
from dpnet.config.job import Job
from dpnet.errors import ConfigError
from dpnet.nn.layout import Layout
from dpnet.text import counted
from dpnet.training.build import build_optimizer
from dpnet.training.estimate.case import Case
from dpnet.training.estimate.footprint import Vectors, node_bytes
from dpnet.training.estimate.measure import Measured, measure
from dpnet.training.estimate.model import Network, Outlook, outlook
from dpnet.training.estimate.wanted import Wanted, choose_cases
from dpnet.training.prepare import open_data, prepare

LATENCY_S = 50e-6
"""Of a network that was not measured: that of TCP."""


class Start(NamedTuple):
    """How ranks were started.

    Attributes:
        nodes: on how many nodes.
        ranks: of each of them, as they are to be estimated.
        stands_for_all: there is one rank, which stands for several of a node.
    """

    nodes: int
    ranks: int
    stands_for_all: bool


@dataclass(frozen=True)
class Estimate:
    """What was found.

    Attributes:
        job: that was estimated.
        layout: of its network.
        start: how it was measured.
        measured: on these nodes.
        network: measured or given; None: of one node nothing travels.
        base: what is to be expected of one node.
        rows: of each number of nodes, the fewest first.
        changes: of the most nodes with other settings, by what is changed.
        left_out: see Cases.
    """

    job: Job
    layout: Layout
    start: Start
    measured: Measured
    network: Network | None
    base: Outlook
    rows: Sequence[Outlook]
    changes: Mapping[str, Outlook]
    left_out: Mapping[int, str]

    def speedup(self, row: Outlook) -> float:
        """Samples a second, as a multiple of those of one node."""
        return row.samples_s / self.base.samples_s

    def efficiency(self, row: Outlook) -> float:
        """Speed-up a node."""
        return self.speedup(row) / row.case.nodes

    @property
    def fastest(self) -> Outlook:
        """The row with the most samples a second."""
        return max(self.rows, key=lambda row: row.samples_s)

    @property
    def efficient(self) -> Outlook | None:
        """The row of the most nodes that have at least half of the efficiency of one; None: no row has."""
        return next((row for row in reversed(self.rows) if self.efficiency(row) >= 0.5), None)


def estimate(job: Job, group: World, wanted: Wanted) -> Estimate:
    """Measure, and estimate; collective.

    Raises:
        ConfigError: the job cannot be trained so, a rate is missing, or ranks were started otherwise than asked for.
        DpnetError: see `dpnet.errors`.
    """
    start = _start(group, wanted)
    _check(job, start, wanted)
    source = open_data(job, group)
    cases = choose_cases(job, len(source.train), start.ranks, wanted)
    setup = prepare(job, group, source)
    measured = measure(setup, source, cases.loads(), wanted.seconds, start.ranks)
    network = _network(measured, wanted)
    vectors = Vectors(len(build_optimizer(job).slots), wanted.banks)

    def expected(case: Case) -> Outlook:
        found = outlook(case, job.model, setup.layout, network, measured.points)
        return dataclasses.replace(found, memory=node_bytes(found, job.model, setup.layout, vectors))

    rows = [expected(case) for case in cases.rows]
    changed = {name: expected(case) for name, case in cases.changes.items()}
    changed = {name: found for name, found in changed.items() if not found.is_like(rows[-1])}
    return Estimate(job, setup.layout, start, measured, network, expected(cases.base), rows, changed, cases.left_out)


def _start(group: World, wanted: Wanted) -> Start:
    """How ranks were started; collective."""
    sizes = group.allgather(group.node.world_size)
    here, nodes = sizes[0], sum(1 / size for size in sizes)
    if len(set(sizes)) > 1:
        raise ConfigError(
            f"nodes with {min(sizes)} to {max(sizes)} ranks were started; start as many on each of them", agreed=True
        )
    if wanted.ranks is not None and wanted.ranks != here and len(sizes) > 1:
        raise ConfigError(
            f"--ranks-per-node is {wanted.ranks}, and {here} were started on each node: leave the option out, or start "
            f"{wanted.ranks}, or start one process to stand for all of them",
            agreed=True,
        )
    ranks = wanted.ranks or here
    return Start(round(nodes), ranks, ranks != here)


def _check(job: Job, start: Start, wanted: Wanted) -> None:
    """Raises ConfigError, on every rank, if something is missing, or nobody knows what to expect."""
    several = max(wanted.nodes, default=2) > 1
    if several and start.nodes == 1 and wanted.bytes_s is None:
        raise ConfigError(
            "the network between nodes is not known: give --bandwidth, what a node sends while all nodes send (usual "
            "are 1Gbit, 10Gbit and 25Gbit), or start dpnet estimate on two hosts, where it is measured",
            agreed=True,
        )
    if not job.train.shared_memory and start.ranks > 1:
        raise ConfigError(
            "train.shared_memory is false: ranks of a node that share no memory cannot be estimated; estimate with "
            "--set train.shared_memory=true, or with one rank a node",
            agreed=True,
        )


def _network(measured: Measured, wanted: Wanted) -> Network | None:
    """What was given, or else measured; None: neither, as there is one node."""
    seen = measured.network
    if wanted.bytes_s is None and seen is None:
        return None
    latency_s = LATENCY_S if seen is None else seen.latency_s
    bytes_s = wanted.bytes_s or (seen.bytes_s if seen else 0.0)
    return Network(bytes_s, latency_s if wanted.latency_s is None else wanted.latency_s)


def notes(found: Estimate) -> list[str]:
    """What the numbers do not show, in sentences."""
    told, contended = [], found.measured.contended
    if contended:
        number = f"{len(contended)} of {counted(len(found.measured.points), 'measurement')}"
        told.append(f"the cores were not free in {number}, in the last of them: {contended[-1]}")
    if found.start.stands_for_all:
        told.append(
            f"one rank was measured on its share of the samples and stands for {found.start.ranks} of a node: that "
            "they slow one another down is not seen; start as many on a node for that"
        )
    if found.job.train.reducer == "allreduce":
        told.append('train.reducer = "allreduce" is taken to be a ring; your MPI may send more')
    return told
