"""Ranks talk: collectives over MPI, and for one rank without any MPI; memory that the ranks of a node share.

`connect` gives the world of all ranks. Only `mpi.py` imports mpi4py. Nothing here knows what is sent: no network, no
gradient, no file.
"""
