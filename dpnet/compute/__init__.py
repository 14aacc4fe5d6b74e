"""The machine: matrix products, loops over single elements, threads, aligned memory, random bits.

It knows processors and libraries. It knows no network, no file format and no rank: how many threads a rank may use,
and whether all ranks chose alike, is settled by those who call it.
"""
