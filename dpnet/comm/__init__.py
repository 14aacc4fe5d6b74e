"""Ranks talk: collectives over MPI; for one rank the same without MPI; memory that all ranks of a node share.

`connect` returns the world: all ranks of the job. `agree` turns an error of one rank into an error of all. Only
`mpi.py` imports mpi4py. This room must not know what is sent: no network, no gradient, no file format.
"""
