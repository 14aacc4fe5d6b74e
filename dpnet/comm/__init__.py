"""Communication between ranks: what the training needs of it, over MPI and for one rank without any MPI.

`connect` in `connect.py` gives the group of all ranks. Only `mpi.py` imports mpi4py.
"""
