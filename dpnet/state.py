"""The state: the flat vectors that training changes, and which rank owns which slice of them.

Each rank sums one slice of the gradients, and updates that slice of the parameters with that slice of the optimizer's
vectors: every element is updated once, by its owner. `commit` publishes: after it every rank sees the new parameters.
Slices are cut at multiples of `nn.layout.BLOCK`, so fixed-order sums over blocks never straddle two owners.

`SharedState` keeps one copy of everything per node, which all its ranks see: publishing is a barrier. `PrivateState`
keeps the parameters in the memory of each rank and publishes them by MPI: for several nodes, and where ranks cannot
share memory. Nothing outside of this file knows the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpnet.arrays import Vector, aligned_zeros
from dpnet.comm.group import Group
from dpnet.comm.shared import NodeMemory
from dpnet.nn.layout import BLOCK, Layout, Views
from dpnet.plan import bounds


def owned_slices(size: int, world_size: int) -> list[slice]:
    """The elements of a flat vector that each rank owns: adjacent, as even as whole blocks allow, maybe none."""
    blocks = size // BLOCK
    shares = [bounds(blocks, rank, world_size) for rank in range(world_size)]
    return [slice(first * BLOCK, stop * BLOCK) for first, stop in shares]


class State(Protocol):
    """Parameters and optimizer vectors of the training.

    Attributes:
        params: (size,) the committed parameters, whole, to be read by every rank.
        layers: views of every layer's weight and bias into `params`.
        slices: what each rank owns.
        owned_params: this rank's slice of the committed parameters.
        owned_slots: this rank's slice of every committed optimizer vector.
        next_params: where the owner writes its slice of the next parameters; may be the memory of `owned_params`.
        next_slots: likewise for the optimizer vectors.
    """

    params: Vector
    layers: Views
    slices: list[slice]
    owned_params: Vector
    owned_slots: list[Vector]
    next_params: Vector
    next_slots: list[Vector]

    def commit(self) -> None:
        """Make what all owners wrote the committed state, seen by every rank."""

    def gather_slots(self) -> dict[str, Vector] | None:
        """The whole optimizer vectors by name on rank 0; None on the others."""
        ...

    def load(self, params: Vector, slots: Mapping[str, Vector]) -> None:
        """Replace the whole committed state on every rank; optimizer vectors that are not among `slots` are kept.

        Collective: every rank brings the same vectors.
        """


class PrivateState:
    """A copy of the parameters per rank; each rank holds only its slice of the optimizer vectors.

    Args:
        group: all ranks.
        layout: of the flat vectors.
        slot_names: names of the optimizer's vectors.
        dtype: of all vectors.
    """

    def __init__(self, group: Group, layout: Layout, slot_names: Sequence[str], dtype: npt.DTypeLike) -> None:
        self._group = group
        self._slot_names = tuple(slot_names)
        self.slices = owned_slices(layout.size, group.world_size)
        self._owned = self.slices[group.rank]
        self._counts = [owned.stop - owned.start for owned in self.slices]
        self.params = aligned_zeros(layout.size, dtype)
        self.layers = layout.views(self.params)
        self.owned_params = self.params[self._owned]
        self.owned_slots = [aligned_zeros(self._counts[group.rank], dtype) for _ in slot_names]
        # In place: the next state overwrites the committed one.
        self.next_params, self.next_slots = self.owned_params, self.owned_slots

    def commit(self) -> None:
        """See State.commit."""
        self._group.allgather_into(self.params, self._counts)

    def gather_slots(self) -> dict[str, Vector] | None:
        """See State.gather_slots."""
        root = self._group.rank == 0
        gathered = {}
        for name, part in zip(self._slot_names, self.owned_slots, strict=True):
            whole = np.empty_like(self.params) if root else None
            self._group.gather_into(part, whole, self._counts)
            if whole is not None:
                gathered[name] = whole
        return gathered if root else None

    def load(self, params: Vector, slots: Mapping[str, Vector]) -> None:
        """See State.load."""
        self.params[:] = params
        for name, part in zip(self._slot_names, self.owned_slots, strict=True):
            if name in slots:
                part[:] = slots[name][self._owned]


class SharedState:
    """One copy of parameters and optimizer vectors for all ranks of a node; each rank writes its slice of them.

    Args:
        memory: of the node.
        group: all ranks, on that node.
        layout: of the flat vectors.
        slot_names: names of the optimizer's vectors.
        dtype: of all vectors.
    """

    def __init__(
        self, memory: NodeMemory, group: Group, layout: Layout, slot_names: Sequence[str], dtype: npt.DTypeLike
    ) -> None:
        self._group = group
        self.slices = owned_slices(layout.size, group.world_size)
        self._owned = self.slices[group.rank]
        self.params = memory.zeros(layout.size, dtype)
        self._slots = {name: memory.zeros(layout.size, dtype) for name in slot_names}
        self.layers = layout.views(self.params)
        self.owned_params = self.params[self._owned]
        self.owned_slots = [whole[self._owned] for whole in self._slots.values()]
        # In place: the next state overwrites the committed one. By now no rank reads the parameters any more: all have
        # been through the reduction, which comes after their last use in a step.
        self.next_params, self.next_slots = self.owned_params, self.owned_slots

    def commit(self) -> None:
        """See State.commit."""
        self._group.barrier()

    def gather_slots(self) -> dict[str, Vector] | None:
        """See State.gather_slots."""
        # Complete since the last commit, and nobody overwrites them before rank 0 takes part in the next reduction.
        return {name: whole.copy() for name, whole in self._slots.items()} if self._group.rank == 0 else None

    def load(self, params: Vector, slots: Mapping[str, Vector]) -> None:
        """See State.load."""
        self._group.barrier()  # Nobody reads the old state any more.
        self.owned_params[:] = params[self._owned]
        for name, part in zip(self._slots, self.owned_slots, strict=True):
            if name in slots:
                part[:] = slots[name][self._owned]
        self._group.barrier()
