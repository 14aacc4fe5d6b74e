"""Loops over single elements: in numpy (`reference`, the specification), and compiled by numba (`compiled`).

Both give the same bits. Sums that are not done yet (`pending_sums`) are done by whoever uses them, tile by tile.
Nothing here knows layers, optimizers as objects, or ranks.
"""
