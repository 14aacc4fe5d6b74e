"""Loops over single elements: in numpy (`reference`, the specification), and compiled by numba (`compiled`).

Both give the same bits; `choose` picks one. A pending sum (`pending_sums`) is computed by whoever uses it, tile by
tile. Nothing here knows layers, ranks, or optimizers as objects.
"""
