"""The data: where samples come from, their exact statistics, how they are scaled, and batches of them.

`sources` opens a source of samples, `statistics` measures it, `scaling` says what the network sees of it, `dataset`
gathers the rows of a batch.
"""
