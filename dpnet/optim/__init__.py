"""How parameters follow their gradient: update rules, clipping by the global norm, learning-rate schedules.

A rule sees slices of flat vectors and the number of a step; it runs in numpy or as a compiled loop of `compute`. Each
parameter moves by itself. Nothing here knows ranks, layers or files.
"""
