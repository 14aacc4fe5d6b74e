"""Reducers: from what single ranks know of the gradient to its sum over the global batch, owned by slice.

Two of them, chosen once: `joint`, where the ranks of a node compute the gradient of all their samples together, and
`shards`, where it is the sum over shards in a fixed order. The second is there for the same bits on any number of
ranks, and is the faster one for networks that are small beside their batch. Nothing carries a sum back to all ranks:
it is the parameters that are published (see `state.py`).
"""
