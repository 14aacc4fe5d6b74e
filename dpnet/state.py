"""The state: the flat vectors that training changes, whole on every node, and which rank owns which slice of them.

Each rank of a node updates one slice of the parameters, with that slice of the optimizer's vectors. `commit` publishes:
it is a barrier of the node, after which all its ranks see the new parameters. Every node does the same updates on the
same sums, so all nodes hold the same bits and no parameter is ever sent.

Slices are cut at multiples of `nn.layout.BLOCK`, so fixed-order sums over blocks never straddle two owners. Where ranks
cannot share memory, each is a node of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy.typing as npt

from dpnet.arrays import Vector
from dpnet.comm.group import Group
from dpnet.comm.shared import NodeMemory
from dpnet.nn.layout import Layout, owned_slices

STAGGER = 64
"""Elements. An update reads and writes the same element of several vectors at a time. Where all of these addresses have
their last 12 bits in common, as in vectors that all begin with a page, the processor takes reads for writes that it has
to wait for: an update took a tenth longer."""


class State:
    """Parameters and optimizer vectors of the training, one copy for all ranks of a node.

    Args:
        node: the ranks that share `memory`.
        memory: of the node.
        layout: of the flat vectors.
        slot_names: names of the optimizer's vectors.
        dtype: of all vectors.

    Attributes:
        node: the ranks that share it.
        params: (size,) the committed parameters, to be read by every rank.
        slots: (size,) the committed optimizer vectors by name, likewise.
        layers: views of every layer's weight and bias into `params`.
        slices: what each rank of the node owns.
        owned_params: this rank's slice of the committed parameters.
        owned_slots: this rank's slice of every committed optimizer vector.
        next_params: where the owner writes its slice of the next parameters; may be `owned_params`.
        next_slots: likewise for the optimizer vectors.
    """

    def __init__(
        self, node: Group, memory: NodeMemory, layout: Layout, slot_names: Sequence[str], dtype: npt.DTypeLike
    ) -> None:
        self.node = node
        self.params = memory.zeros(layout.size, dtype)
        # STAGGER apart in their pages: see there.
        self.slots = {
            name: memory.zeros(layout.size + number * STAGGER, dtype)[number * STAGGER :]
            for number, name in enumerate(slot_names, 1)
        }
        self.layers = layout.views(self.params)
        self.slices = owned_slices(layout.size, node.world_size)
        self._owned = self.slices[node.rank]
        self.owned_params = self.params[self._owned]
        self.owned_slots = [whole[self._owned] for whole in self.slots.values()]
        # In place: the next state overwrites the committed one. By now no rank reads the parameters any more: all have
        # been through the reduction, which comes after their last use in a step.
        self.next_params, self.next_slots = self.owned_params, self.owned_slots

    def commit(self) -> None:
        """Make what all owners wrote the committed state, seen by every rank of the node; collective."""
        self.node.barrier()

    def load(self, params: Vector, slots: Mapping[str, Vector]) -> None:
        """Replace the whole committed state; optimizer vectors that are not among `slots` are kept.

        Collective: every rank brings the same vectors.
        """
        self.node.barrier()  # Nobody reads the old state any more.
        self.owned_params[:] = params[self._owned]
        for name, part in zip(self.slots, self.owned_slots, strict=True):
            if name in slots:
                part[:] = slots[name][self._owned]
        self.node.barrier()
