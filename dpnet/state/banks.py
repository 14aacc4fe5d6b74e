"""The state: the flat vectors that training changes, whole on every node, and which rank owns which slice of them.

Each rank of a node updates one slice of the parameters, with that slice of the optimizer's vectors. `commit` publishes:
it is a barrier of the node, after which all its ranks see the new parameters. Every node does the same updates on the
same sums, so all nodes hold the same bits and no parameter is ever sent.

Where the loss of a rank is to be survived there are two banks of all vectors: a step reads one and writes the other,
and `commit` swaps them. So at any instant, whoever dies in whatever it was doing, one bank holds a whole state:

                    step 5           commit         step 6           commit
    bank 0     read: state 5      committed     written: state 7   committed
    bank 1     written: state 6       ->        read: state 6          ->

Two ranks can be one commit apart, when one has left the barrier and the other got an error from it. Both banks are then
still whole: nobody writes state 7 before all ranks have come to the reduction of that step, that is, have committed
state 6. Elsewhere both banks are the same memory, and the update is in place.

Which rank owns which slice is said in `ownership`. Where ranks cannot share memory, each is a node of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy.typing as npt

from dpnet.comm.group import Group
from dpnet.comm.node_memory import NodeMemory
from dpnet.compute.arrays import Vector
from dpnet.nn.layout import Layout
from dpnet.state.ownership import owned_slices

STAGGER = 64
"""Elements. An update reads and writes the same element of several vectors at a time. Where all of these addresses have
their last 12 bits in common, as in vectors that all begin with a page, the processor takes reads for writes that it has
to wait for: an update took a tenth longer."""


class Start(NamedTuple):
    """A state to begin with.

    Attributes:
        params: (size,).
        slots: (size,) each, the optimizer's vectors by name.
        step: number of steps that led there.
    """

    params: Vector
    slots: Mapping[str, Vector]
    step: int


class Bank:
    """One copy of parameters and optimizer vectors.

    Args:
        vectors: (size,) each, the parameters first.
        slot_names: names of the others.
        layout: of each.
        owned: the slice of this rank.
    """

    def __init__(self, vectors: Sequence[Vector], slot_names: Sequence[str], layout: Layout, owned: slice) -> None:
        self.params = vectors[0]
        self.slots = dict(zip(slot_names, vectors[1:], strict=True))
        self.layers = layout.views(self.params)
        self.owned_params = self.params[owned]
        self.owned_slots = [whole[owned] for whole in vectors[1:]]


class State:
    """Parameters and optimizer vectors of the training, one copy for all ranks of a node.

    Args:
        node: the ranks that share `memory`.
        memory: of the node.
        layout: of the flat vectors.
        slot_names: names of the optimizer's vectors.
        dtype: of all vectors.
        num_banks: 2, or 1 to update in place.

    Attributes:
        node: the ranks that share it.
        step: number of steps that led to the committed state.
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
        self,
        node: Group,
        memory: NodeMemory,
        layout: Layout,
        slot_names: Sequence[str],
        dtype: npt.DTypeLike,
        *,
        num_banks: int = 1,
    ) -> None:
        self.node = node
        self.slices = owned_slices(layout, node.world_size)
        self._owned = self.slices[node.rank]
        length = 1 + len(slot_names)
        # STAGGER apart in their pages: see there.
        vectors = [
            memory.zeros(layout.size + number * STAGGER, dtype)[number * STAGGER :]
            for number in range(num_banks * length)
        ]
        banks = [
            Bank(vectors[first : first + length], slot_names, layout, self._owned)
            for first in range(0, num_banks * length, length)
        ]
        self.step = 0
        self._current, self._next = banks[0], banks[-1]
        # In place, the next state overwrites the committed one. By then no rank reads the parameters any more: all have
        # been through the reduction, which comes after their last use in a step.
        self._before = banks[0]
        self._show()

    def commit(self) -> None:
        """Make what all owners wrote the committed state, seen by every rank of the node; collective."""
        self.node.barrier()
        self.step += 1
        self._before = self._current
        if self._next is not self._current:
            self._current, self._next = self._next, self._current
            self._show()

    def keep(self) -> None:
        """Count a step that was not taken: the committed state is that of the next step as well; collective."""
        self.node.barrier()
        self._before = self._current
        self.step += 1

    def at(self, step: int) -> Bank:
        """The state after `step` steps: the committed one or, with two banks, that before it."""
        assert step in (self.step, self.step - 1)
        return self._current if step == self.step else self._before

    def load(self, start: Start) -> None:
        """Replace the whole committed state; optimizer vectors that are not among `slots` are kept.

        Collective: every rank brings the same vectors.
        """
        self.node.barrier()  # Nobody reads the old state any more.
        self.owned_params[:] = start.params[self._owned]
        for name, part in zip(self.slots, self.owned_slots, strict=True):
            if name in start.slots:
                part[:] = start.slots[name][self._owned]
        self.step = start.step
        self.node.barrier()

    def _show(self) -> None:
        now, after = self._current, self._next
        self.params, self.slots, self.layers = now.params, now.slots, now.layers
        self.owned_params, self.owned_slots = now.owned_params, now.owned_slots
        self.next_params, self.next_slots = after.owned_params, after.owned_slots
