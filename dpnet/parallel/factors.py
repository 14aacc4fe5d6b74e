"""Between nodes: each gets the factors of the gradient, x and dz of the rows of all others, and not the gradient.

The gradient of a weight is x^T dz over all rows. Nodes may compute it for their own rows and add up the results, as
`between_nodes` does: then as many numbers travel as there are parameters. Or every node gets x and dz of all rows, and
computes the same products as all others. Rows are as long as a layer is wide, and a weight has the product of two
widths; so of a small batch the factors are far fewer numbers. What the others send need not be all of it:

    x of the first layer    the samples: every node has the data and the plan, and gathers them
    x of another layer      sent; or computed from the x before it, where that takes less time than the network
    dz of the last layer    d loss / d logits, sent: a few numbers a row
    dz of another layer     sent; or computed from the dz behind it

`cost` chooses. In any case a node computes with the rows of each shard in one piece, as the rank of the shard itself
did, and forms the gradient of every node's rows by itself (see `joint`): so the sum has the bits that it would have if
the gradients had been sent.

    node 0                                                   node 1
    rank 0: rows of shard 0 ──────── x, dz ────────►  rank 2: puts them into the rows of shard 0
    rank 1: rows of shard 1 ──────── x, dz ────────►  rank 3: puts them into the rows of shard 1

Each rank sends its rows to one rank of every other node, in one message (see `packets`), and what that rank still has
to compute, it does while the message is on its way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.loops.interface import Loops
from dpnet.nn.layout import Layout, Views
from dpnet.nn.passes import keep
from dpnet.parallel.cost import Ways
from dpnet.parallel.packets import Packet, room
from dpnet.parallel.plan import Plan
from dpnet.parallel.replica import Replica
from dpnet.parallel.step_sums import SHARD_BYTES, StepSums

Call = Callable[[], object]


class _Pass(NamedTuple):
    """What completes the rows of a shard of another node.

    Attributes:
        params: views of the parameters; held, since the pass is found by their id.
        before: calls that need nothing from the other node.
        after: calls that follow once its message is here.
    """

    params: Views
    before: list[Call]
    after: list[Call]


class FactorExchange:
    """Completes the rows of all other nodes, in buffers that the ranks of this node share.

    Args:
        topology: with several nodes, of as many ranks each.
        plan: which samples each step uses; each rank has one shard.
        ways: how x and dz of every layer come to the other nodes.
        layout: of the parameters.
        replica: the network and its samples, with rows for the whole batch.
        dbiases: (world_size, outputs) of every layer: the gradients of the biases of all ranks.
        sums: the numbers of all shards, which travel along.
        loops: element-wise work.

    Attributes:
        bytes_sent: so far, by this rank.
    """

    def __init__(
        self,
        topology: Topology,
        plan: Plan,
        ways: Ways,
        layout: Layout,
        replica: Replica,
        dbiases: Sequence[Matrix],
        sums: StepSums,
        loops: Loops,
    ) -> None:
        self._group, self._plan, self._ways, self._layout = topology.group, plan, ways, layout
        self._network, self._dataset, self._dbiases = replica.network, replica.dataset, dbiases
        self._factors = self._network.factors(self._dataset.x)
        me, here = topology.group.rank, topology.here
        self._me, self._sums = me, sums
        place = me - here.start
        self._others = [ranks.start + place for ranks in topology.nodes if me not in ranks]
        dtype = self._dataset.x.dtype
        size = self._room(plan.max_rows(), dtype)
        self._sent = Packet(size, dtype, loops)
        self._received = {rank: Packet(size, dtype, loops) for rank in self._others}
        self.bytes_sent = 0
        self._passes: dict[tuple[int, int, int], _Pass] = {}

    def _room(self, rows: int, dtype: npt.DTypeLike) -> int:
        """Most bytes of a message: the numbers of a shard, x and dz of every layer, and the gradients of the biases."""
        itemsize = np.dtype(dtype).itemsize
        return room(SHARD_BYTES // itemsize, itemsize) + sum(
            2 * room(rows * width, itemsize) + room(width, itemsize) for width in self._layout.sizes[1:]
        )

    def __call__(self, step: int, params: Views) -> None:
        """Complete the rows of all shards of step `step` whose ranks stand in this rank's place; collective.

        The rows of this rank must be complete: it has just gone back through the network.

        Args:
            step: from 0.
            params: views of the parameters.
        """
        size = self._plan.batch_size(step)
        self._pack(size)
        sent = self._sent.content
        self.bytes_sent += len(self._others) * len(sent)
        messages = [(rank, packet.whole) for rank, packet in self._received.items()]
        flight = self._group.begin_exchange([(rank, sent) for rank in self._others], messages)
        for rank in self._others:
            if self._ways.x[0].is_needed:
                self._dataset.gather(self._plan.shard(step, rank), first=self._plan.shard_start(size, rank))
            flight.progress()
            for call in self._pass(rank, size, params).before:
                call()
                flight.progress()
        flight.wait()
        for rank in self._others:
            self._received[rank].rewind()
            for call in self._pass(rank, size, params).after:
                call()

    def _pack(self, size: int) -> None:
        packet, sparse = self._sent, self._ways.sparse
        packet.rewind()
        rows = self._rows(size, self._me)
        packet.put(self._numbers(self._me), sparse=False)
        for layer in self._ways.received_x():
            packet.put(self._factors[layer][0][rows].reshape(-1), sparse=sparse)
        for layer in self._ways.received_dz():
            is_last = layer == len(self._factors) - 1
            packet.put(self._factors[layer][1][rows].reshape(-1), sparse=sparse and not is_last)
            packet.put(self._dbiases[layer][self._me], sparse=False)

    def _numbers(self, rank: int) -> Vector:
        """The numbers of a rank's shard, as elements of the packet."""
        return self._sums.row(rank).view(self._dataset.x.dtype)

    def _rows(self, size: int, rank: int) -> slice:
        return slice(self._plan.shard_start(size, rank), self._plan.shard_start(size, rank + 1))

    def _pass(self, rank: int, size: int, params: Views) -> _Pass:
        key = rank, size, id(params)
        return self._passes.get(key) or keep(self._passes, key, self._make_pass(rank, size, params))

    def _make_pass(self, rank: int, size: int, params: Views) -> _Pass:
        """The calls for the rows of a rank of another node, in the order in which it has packed what it sends."""
        rows, packet, ways = self._rows(size, rank), self._received[rank], self._ways
        xs, dzs = ([factor[rows] for factor in factors] for factors in zip(*self._factors, strict=True))
        layers, dbiases = self._network.layers, [dbias[rank] for dbias in self._dbiases]
        made = _Pass(params, [], [])

        def receive(array: Matrix) -> None:
            made.after.append(functools.partial(packet.take, array.reshape(-1)))

        made.after.append(functools.partial(packet.take, self._numbers(rank)))
        # What is computed behind an x that is received waits for it.
        for layer, way in enumerate(ways.x[1:]):
            if way.is_received:
                receive(xs[layer + 1])
            elif way.is_needed:
                calls, _ = layers[layer].forward(xs[layer], *params[layer], first=rows.start)
                (made.after if any(w.is_received for w in ways.x[: layer + 2]) else made.before).extend(calls)
        for layer in reversed(range(len(layers))):
            if ways.dz[layer].is_received:
                receive(dzs[layer])
                receive(dbiases[layer])
            elif ways.dz[layer].is_needed:
                above = layers[layer + 1]
                _, through_weights, _ = above.backward(
                    xs[layer + 1], dzs[layer + 1], params[layer + 1][0], dbiases[layer + 1], first=rows.start
                )
                through_activation, _, _ = layers[layer].backward(
                    xs[layer + 1], dzs[layer], params[layer][0], dbiases[layer], first=rows.start
                )
                assert through_weights is not None
                made.after.extend([through_weights, through_activation])
        return made
