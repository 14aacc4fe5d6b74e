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

Each rank sends its rows to one rank of every other node. What is long leaves as soon as it is complete, and travels
while this rank goes on, forward and back; the rest leaves in one message at the end (see `ways` and `packets`).
What a rank still has to compute, it does while a message is on its way.

    forward      x of layer 1 ►   x of layer 2 ►
    back                                             dz of layer 1 ►
    complete                                                           the numbers of the step, dz of layer 0 ►
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from dpnet.comm.group import InFlight
from dpnet.comm.topology import Topology
from dpnet.compute.arrays import Matrix, Vector
from dpnet.compute.loops.interface import Loops
from dpnet.nn.layout import Layout, Views
from dpnet.nn.passes import keep
from dpnet.parallel.packets import Packet, room
from dpnet.parallel.plan import Plan
from dpnet.parallel.replica import Replica
from dpnet.parallel.step_sums import SHARD_BYTES, StepSums
from dpnet.parallel.ways import DZ, Array, Way, Ways, X, messages, width

Call = Callable[[], object]


class FactorExchange:
    """Completes the rows of all other nodes, in buffers that the ranks of this node share. See step.RowExchange.

    Args:
        topology: with several nodes, of as many ranks each.
        plan: which samples each step uses; each rank has one shard.
        ways: how x and dz of every layer come to the other nodes.
        layout: of the parameters.
        replica: the network and its samples, with rows for the whole batch; it gets hooks.
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
        rows, dtype = plan.max_rows(), self._dataset.x.dtype
        self._messages = messages(ways, lambda array: rows * width(layout.sizes, array) * dtype.itemsize)
        sizes = [self._room(number, rows) for number in range(len(self._messages))]
        self._sent = [Packet(size, dtype, loops) for size in sizes]
        self._received = {rank: [Packet(size, dtype, loops) for size in sizes] for rank in self._others}
        self.bytes_sent = 0
        self._step, self._arriving, self._leaving = 0, list[InFlight](), list[InFlight]()
        self._passes: dict[tuple[int, int, int], tuple[Views, list[list[Call]]]] = {}
        self._set_hooks()

    def _room(self, number: int, rows: int) -> int:
        """Most bytes of a message."""
        itemsize = self._dataset.x.dtype.itemsize
        found = room(SHARD_BYTES // itemsize, itemsize) if self._is_last(number) else 0
        for array in self._messages[number]:
            columns = width(self._layout.sizes, array)
            found += room(rows * columns, itemsize) + (room(columns, itemsize) if array[0] == DZ else 0)
        return found

    def _is_last(self, number: int) -> bool:
        return number == len(self._messages) - 1

    def _set_hooks(self) -> None:
        """Let every message but the last leave as soon as its arrays are complete; and let MPI work between layers."""
        network, ends = self._network, {arrays[-1]: number for number, arrays in enumerate(self._messages[:-1])}
        for layer in range(len(network.layers)):
            hooks = ((network.after_output, (X, layer + 1)), (network.after_dz, (DZ, layer)))
            for calls, array in hooks:
                calls[layer] = functools.partial(self._send, ends[array]) if array in ends else self._progress

    def begin(self, step: int) -> None:
        """See RowExchange.begin. From here on messages of other nodes come in."""
        self._step = step
        for number in range(len(self._messages)):
            packets = [(rank, received[number].whole) for rank, received in self._received.items()]
            self._arriving.append(self._group.begin_exchange([], packets))

    def complete(self, params: Views) -> None:
        """See RowExchange.complete. It completes the rows of all shards whose ranks stand in this rank's place."""
        self._send(len(self._messages) - 1)
        passes = [self._pass(rank, params) for rank in self._others]
        for rank, calls in zip(self._others, passes, strict=True):
            if self._ways.x[0].is_needed:
                first = self._plan.shard_start(self._plan.batch_size(self._step), rank)
                self._dataset.gather(self._plan.shard(self._step, rank), first=first)
            self._run(calls[0])
        for number in range(len(self._messages)):
            self._arriving.pop(0).wait()
            for rank, calls in zip(self._others, passes, strict=True):
                self._received[rank][number].rewind()
                self._run(calls[number + 1])
        while self._leaving:
            self._leaving.pop().wait()

    def _run(self, calls: Sequence[Call]) -> None:
        self._progress()
        for call in calls:
            call()
            self._progress()

    def _progress(self) -> None:
        for flight in (*self._leaving, *self._arriving):
            flight.progress()

    def _send(self, number: int) -> None:
        """Send a message, whose arrays are complete."""
        packet, rows = self._sent[number], self._rows(self._me)
        packet.rewind()
        if self._is_last(number):
            packet.put(self._numbers(self._me), sparse=False)
        for kind, layer in self._messages[number]:
            if kind == X:
                packet.put(self._factors[layer][0][rows].reshape(-1), sparse=self._ways.sparse)
            else:
                sparse = self._ways.sparse and layer < len(self._factors) - 1
                packet.put(self._factors[layer][1][rows].reshape(-1), sparse=sparse)
                packet.put(self._dbiases[layer][self._me], sparse=False)
        self.bytes_sent += len(self._others) * len(packet.content)
        self._leaving.append(self._group.begin_exchange([(rank, packet.content) for rank in self._others], []))
        self._progress()

    def _numbers(self, rank: int) -> Vector:
        """The numbers of a rank's shard, as elements of the packet."""
        return self._sums.row(rank).view(self._dataset.x.dtype)

    def _rows(self, rank: int) -> slice:
        size = self._plan.batch_size(self._step)
        return slice(self._plan.shard_start(size, rank), self._plan.shard_start(size, rank + 1))

    def _pass(self, rank: int, params: Views) -> list[list[Call]]:
        key = rank, self._plan.batch_size(self._step), id(params)
        # The parameters are held, since they are found by their id.
        _, calls = self._passes.get(key) or keep(self._passes, key, (params, self._make_pass(rank, params)))
        return calls

    def _make_pass(self, rank: int, params: Views) -> list[list[Call]]:
        """The calls that complete the rows of a rank of another node: at first, and after each of its messages.

        A message is taken apart in the order in which the rank has packed it. What is computed from an array that is
        received waits for it.
        """
        rows, ways, layers = self._rows(rank), self._ways, self._network.layers
        xs, dzs = ([factor[rows] for factor in factors] for factors in zip(*self._factors, strict=True))
        dbiases = [dbias[rank] for dbias in self._dbiases]
        made: list[list[Call]] = [[] for _ in range(len(self._messages) + 1)]
        stages: dict[Array, int] = {(X, 0): 0}
        for number, (arrays, packet) in enumerate(zip(self._messages, self._received[rank], strict=True)):
            take = [self._numbers(rank)] if self._is_last(number) else []
            for kind, layer in arrays:
                stages[kind, layer] = number + 1
                take += [xs[layer].reshape(-1)] if kind == X else [dzs[layer].reshape(-1), dbiases[layer]]
            made[number + 1] += [functools.partial(packet.take, array) for array in take]
        for layer, way in enumerate(ways.x[1:]):
            if way is Way.COMPUTED:
                stage = stages[X, layer + 1] = stages[X, layer]
                calls, _ = layers[layer].forward(xs[layer], *params[layer], first=rows.start)
                made[stage] += calls
        for layer in reversed(range(len(layers))):
            if ways.dz[layer] is Way.COMPUTED:
                # z of this layer is needed as well: its activation is the x of the layer above.
                stage = stages[DZ, layer] = max(stages[DZ, layer + 1], stages[X, layer + 1])
                _, through_weights, _ = layers[layer + 1].backward(
                    xs[layer + 1], dzs[layer + 1], params[layer + 1][0], dbiases[layer + 1], first=rows.start
                )
                through_activation, _, _ = layers[layer].backward(
                    xs[layer + 1], dzs[layer], params[layer][0], dbiases[layer], first=rows.start
                )
                assert through_weights is not None
                made[stage] += [through_weights, through_activation]
        return made
