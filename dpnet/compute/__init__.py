"""The machine: matrix products, loops over single elements, threads, aligned memory, random bits.

It knows processors and libraries. It knows no network, no file format and no rank: its callers decide how many threads
a rank may use, and make sure that all ranks choose alike.
"""
