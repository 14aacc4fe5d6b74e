"""How parameters follow their gradient: update rules, clipping by the global norm, learning-rate schedules.

numpy only. Nothing here hears of ranks, layers or files: it sees segments of flat vectors and numbers of steps.
"""
