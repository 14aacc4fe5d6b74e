"""What lies in the memory of a node: parameters, the buffers of the network, and what sums gradients."""

from __future__ import annotations

import dataclasses
import gc
from dataclasses import dataclass

import numpy as np

from dpnet import whereabouts
from dpnet.comm import topology
from dpnet.comm.agree import everywhere
from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Vector
from dpnet.data.sources import DataSource
from dpnet.errors import SharedMemoryError
from dpnet.parallel import traffic
from dpnet.parallel.exchange import Exchange, choose_exchange, only_sums
from dpnet.parallel.factors import FactorExchange
from dpnet.parallel.feed import Feed
from dpnet.parallel.joint import JointReducer
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import REDUCERS, Reducer, choose_reducer
from dpnet.parallel.replica import Replica
from dpnet.parallel.step import NoExchange, RowExchange
from dpnet.parallel.wire import WIRES
from dpnet.state.banks import State
from dpnet.training.setup import Setup


@dataclass(frozen=True)
class SharedParts:
    """What `build_shared` builds.

    Attributes:
        state: parameters, current and next.
        feed: brings the samples of every shard.
        replica: the network and its loss.
        reducer: sums the gradients of all shards.
        rows: completes those of other nodes.
        exchange: what travels between nodes.
        board: the whereabouts of this node's ranks.
        node_ranks: these ranks.
        memory: where all this lies, in words.
    """

    state: State
    feed: Feed
    replica: Replica
    reducer: Reducer
    rows: RowExchange
    exchange: Exchange
    board: Vector
    node_ranks: range
    memory: str = ""


def build_shared(setup: Setup, source: DataSource, plan: Plan, slots: tuple[str, ...]) -> SharedParts:
    """Build with memory that the ranks of a node share; if they cannot share memory, each rank is a node; collective.

    Args:
        setup: of the training.
        source: the data.
        plan: which samples each step uses.
        slots: names of the optimizer's vectors.
    """
    train, group = setup.job.train, setup.group
    why = "there is one rank" if group.world_size == 1 else "train.shared_memory is off"
    if train.shared_memory and group.world_size > 1:
        where = topology.shared(group, train.wire)
        exchange = _choose_exchange(setup, plan, where)
        try:
            shared = everywhere(group, lambda: _build(setup, source, plan, slots, where, exchange))
            text = "one copy of the parameters for all ranks" + (" of a node" if len(where.nodes) > 1 else "")
            return dataclasses.replace(shared, memory=text)
        except SharedMemoryError as error:
            why = str(error)
        gc.collect()  # The error kept references to what was mapped before it.
    where = topology.apart(group, train.wire)
    shared = _build(setup, source, plan, slots, where, _choose_exchange(setup, plan, where))
    return dataclasses.replace(shared, memory=f"a copy of the parameters for each rank: {why}")


def _choose_exchange(setup: Setup, plan: Plan, where: Topology) -> Exchange:
    """What travels between nodes; collective among all ranks."""
    train, model = setup.job.train, setup.job.model
    if len(where.nodes) == 1 or train.reducer == "allreduce":
        return Exchange()
    if only_sums(train):
        rounded = ", rounded to bfloat16" if train.wire == "bfloat16" else ""
        travels_as = WIRES[train.wire].travels_as or model.dtype
        return Exchange(text=f"gradients{rounded}; {traffic.told(plan, where.nodes, setup.layout, travels_as)}")
    shape = setup.layout, model.dtype, model.activation == "relu", plan.max_rows()
    return choose_exchange(train.exchange, where, *shape, setup.backend)


def _build(
    setup: Setup, source: DataSource, plan: Plan, slots: tuple[str, ...], where: Topology, exchange: Exchange
) -> SharedParts:
    """Build; collective on the node, not among nodes: some may have no room for it."""
    layout, memory, dtype = setup.layout, where.memory, setup.job.model.dtype
    reducer, replica, rows = _reducer(setup, source, plan, where, exchange)
    ahead = setup.dataset(source.train, plan.max_rows())
    num_banks = 2 if where.group.survives_losses else 1
    state = State(where.node, memory, layout, slots, dtype, num_banks=num_banks)
    board = memory.zeros(len(where.here) * whereabouts.LENGTH, np.float64)
    feed = Feed(plan, replica.dataset, ahead, reducer.shards)
    return SharedParts(state, feed, replica, reducer, rows, exchange, board, where.here)


def _reducer(
    setup: Setup, source: DataSource, plan: Plan, where: Topology, exchange: Exchange
) -> tuple[Reducer, Replica, RowExchange]:
    """What sums gradients, the network whose gradients they are, and what completes the rows of other nodes."""
    train, layout, backend, dtype = setup.job.train, setup.layout, setup.backend, setup.job.model.dtype
    loops = backend.kernels.loops
    if exchange.ways is not None:
        replica = setup.training_replica(source.train, plan.global_batch_size, where.memory.zeros)
        factors = replica.network.factors(replica.dataset.x)
        joint = JointReducer(
            where, plan=plan, layout=layout, dtype=dtype, factors=factors, backend=backend, whole_batch=True
        )
        rows = FactorExchange(where, plan, exchange.ways, layout, replica, joint.all_dbiases, joint.sums, loops)
        return joint, replica, rows
    kind = REDUCERS[choose_reducer(train.reducer, train.fixed_shards, layout, where.nodes, plan.max_rows())]
    if kind.shares_rows:
        replica = setup.training_replica(source.train, plan.max_rows(len(where.here)), where.memory.zeros)
    else:
        replica = setup.training_replica(source.train, plan.max_rows())
    factors = replica.network.factors(replica.dataset.x)
    reducer = kind(where, plan=plan, layout=layout, dtype=dtype, factors=factors, backend=backend)
    return reducer, replica, NoExchange()
