"""Ranks of several nodes as threads of this process, for sums on any number of nodes without an MPI library.

They exchange vectors through queues, and those of a node share memory. What every pair of nodes exchanges is counted.
"""

import itertools
import queue
import threading
from collections import Counter

import numpy as np

from dpnet.comm.local import LocalGroup
from dpnet.comm.topology import Topology

PATIENCE_S = 60


class World:
    """What the threads share.

    Args:
        nodes: the ranks of every node.

    Attributes:
        nodes: the same.
        sent: bytes sent by each node to others, by `exchange` alone.
        received: bytes received by each.
    """

    def __init__(self, nodes):
        self.nodes, self.sent, self.received = nodes, Counter(), Counter()
        self.node_of = {rank: number for number, ranks in enumerate(nodes) for rank in ranks}
        self.letters = {pair: queue.Queue() for pair in itertools.product(self.node_of, repeat=2)}
        self.boards = [threading.Barrier(len(ranks)) for ranks in nodes]
        self.together, self.lock = threading.Barrier(len(self.node_of)), threading.Lock()
        self.vectors, self.values = [{} for _ in nodes], {}

    def run(self, work):
        """The results of work(topology) on every rank; an error in one is raised here."""
        results, errors = {}, []

        def call(rank):
            try:
                results[rank] = work(Rank(self, rank).topology())
            except BaseException as error:
                errors.append(error)
                for barrier in (self.together, *self.boards):
                    barrier.abort()

        threads = [threading.Thread(target=call, args=(rank,), daemon=True) for rank in self.node_of]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        if errors:
            raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
        return [results[rank] for rank in self.node_of]


class Rank(LocalGroup):
    """One of all ranks."""

    def __init__(self, world, rank):
        super().__init__()
        self.world, self.rank, self.world_size = world, rank, len(world.node_of)

    def topology(self):
        """Its place among all."""
        here = self.world.nodes[self.world.node_of[self.rank]]
        node = OnNode(self.world, self.world.node_of[self.rank], self.rank - here.start, len(here))
        return Topology(self, node, node, self.world.nodes)

    def exchange(self, sends, receives):
        """See Group.exchange."""
        world, here = self.world, self.world.node_of[self.rank]
        for rank, vector in sends:
            world.letters[self.rank, rank].put(vector.copy())
        for rank, vector in receives:
            letter = world.letters[rank, self.rank].get(timeout=PATIENCE_S)
            assert letter.shape == vector.shape, (letter.shape, vector.shape)
            assert letter.dtype == vector.dtype, (letter.dtype, vector.dtype)
            vector[...] = letter
            if (there := world.node_of[rank]) != here:
                with world.lock:
                    world.sent[there] += letter.nbytes
                    world.received[here] += letter.nbytes

    def allgather_into(self, vector, counts):
        """See Group.allgather_into."""
        first = sum(counts[: self.rank])
        self.world.values[self.rank] = vector[first : first + counts[self.rank]].copy()
        self.world.together.wait(PATIENCE_S)
        vector[:] = np.concatenate([self.world.values[rank] for rank in range(self.world_size)])
        self.world.together.wait(PATIENCE_S)


class OnNode(LocalGroup):
    """The ranks of a node, and their memory."""

    def __init__(self, world, number, rank, world_size):
        super().__init__()
        self.rank, self.world_size = rank, world_size
        self._world, self._number, self._made = world, number, 0

    def barrier(self):
        """See Group.barrier."""
        self._world.boards[self._number].wait(PATIENCE_S)

    def zeros(self, size, dtype):
        """See NodeMemory.zeros."""
        with self._world.lock:
            vector = self._world.vectors[self._number].setdefault(self._made, np.zeros(size, dtype))
        self._made += 1
        return vector
