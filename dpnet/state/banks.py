"""The state: the flat vectors that training changes, whole on every node.

Each rank of a node updates the slice that it owns of the parameters and of the optimizer's vectors (see `ownership`).
`commit` publishes the new parameters: it is a barrier of the node, after which all its ranks see them. Every node does
the same updates on the same sums, so all nodes hold the same bits and no parameter is ever sent. A rank that cannot
share memory is a node of its own.

Where the loss of a rank must be survived there are two banks of all vectors: a step reads one and writes the other, and
`commit` swaps them. So one bank holds a whole state at any instant, whichever rank dies in whatever it was doing:

                    step 5           commit         step 6           commit
    bank 0     read: state 5      committed     written: state 7   committed
    bank 1     written: state 6       ->        read: state 6          ->

Two ranks can be one commit apart, when one has left the barrier and the other got an error from it. Both banks are then
still whole: no rank writes state 7 before all ranks have come to the reduction of that step, and so have committed
state 6. Where a loss ends the job anyway, both banks are the same memory, and the update is in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpnet.comm.group import Group
from dpnet.comm.node_memory import NodeMemory
from dpnet.compute.arrays import Vector
from dpnet.nn.layout import Layout
from dpnet.state.ownership import OWNERSHIP_GRAIN, owned_slices

STAGGER = 64
"""Elements by which vectors are shifted against one another in their pages. An update reads and writes the same element
of several vectors at a time. Vectors that all begin with a page suffer from 4 KiB aliasing: a load is held back by an
unrelated store with the same low 12 address bits. An update took a tenth longer."""


class StateVectors(NamedTuple):
    """A whole state: the vectors of a training after some step.

    Attributes:
        params: (size,) the parameters.
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

    Attributes:
        params: (size,) the parameters.
        slots: (size,) each, the optimizer's vectors by name.
        layers: views of every layer's weight and bias into `params`.
        owned_params: the owned slice of the parameters.
        owned_slots: the owned slice of every optimizer vector.
    """

    def __init__(self, vectors: Sequence[Vector], slot_names: Sequence[str], layout: Layout, owned: slice) -> None:
        self.params = vectors[0]
        self.slots = dict(zip(slot_names, vectors[1:], strict=True))
        self.layers = layout.views(self.params)
        self.owned_params = self.params[owned]
        self.owned_slots = [whole[owned] for whole in vectors[1:]]


class State:
    """Parameters and optimizer vectors of the training, shared by all ranks of a node.

    Args:
        node: the ranks of this rank's node.
        memory: that they share.
        layout: of the flat vectors.
        slot_names: names of the optimizer's vectors.
        dtype: of all vectors.
        num_banks: 2, or 1 to update in place.

    Attributes:
        node: the ranks of this rank's node.
        step: number of steps that led to the committed state.
        params: (size,) the committed parameters; every rank reads them.
        slots: (size,) each, the committed optimizer vectors by name.
        layers: views of every layer's weight and bias into `params`.
        slices: what each rank of the node owns.
        owned_params: this rank's slice of the committed parameters.
        owned_slots: this rank's slice of every committed optimizer vector.
        next_params: where this rank writes its slice of the next parameters; with one bank, `owned_params`.
        next_slots: where it writes its slice of the next optimizer vectors; with one bank, `owned_slots`.
        squares: (grains,) float64, that the ranks of the node share: for the norm of the gradient.
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
        vectors = [
            memory.zeros(layout.size + number * STAGGER, dtype)[number * STAGGER :]
            for number in range(num_banks * length)
        ]
        banks = [
            Bank(vectors[first : first + length], slot_names, layout, self._owned)
            for first in range(0, num_banks * length, length)
        ]
        self.squares = memory.zeros(self.slices[-1].stop // OWNERSHIP_GRAIN, np.float64)
        self.step = 0
        self._current, self._next = banks[0], banks[-1]
        # With one bank the next state overwrites the committed one. By then no rank reads the parameters any more: all
        # have been through the reduction, which comes after the last use of the parameters in a step.
        self._before = banks[0]
        self._show()

    def commit(self) -> None:
        """Make what all owners wrote the committed state, seen by every rank of the node; collective."""
        self._end_step()
        if self._next is not self._current:
            self._current, self._next = self._next, self._current
            self._show()

    def keep(self) -> None:
        """Count a step that was not taken: the committed state stays as it is; collective."""
        self._end_step()

    def _end_step(self) -> None:
        self.node.barrier()
        self.step += 1
        self._before = self._current

    def at(self, step: int) -> Bank:
        """The state after `step` steps: the committed one or, with two banks, the one before it."""
        assert step in (self.step, self.step - 1)
        return self._current if step == self.step else self._before

    def load(self, vectors: StateVectors) -> None:
        """Replace the committed state. Optimizer vectors that are not among `vectors.slots` stay as they are.

        Collective: every rank brings the same vectors.
        """
        self.node.barrier()  # No rank reads the old state any more.
        # Into both banks: no update writes what is frozen.
        for bank in {id(bank): bank for bank in (self._current, self._next)}.values():
            bank.owned_params[:] = vectors.params[self._owned]
            for name, part in zip(bank.slots, bank.owned_slots, strict=True):
                if name in vectors.slots:
                    part[:] = vectors.slots[name][self._owned]
        self.step = vectors.step
        self.node.barrier()

    def _show(self) -> None:
        now, after = self._current, self._next
        self.params, self.slots, self.layers = now.params, now.slots, now.layers
        self.owned_params, self.owned_slots = now.owned_params, now.owned_slots
        self.next_params, self.next_slots = after.owned_params, after.owned_slots
