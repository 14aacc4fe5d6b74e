"""What is trained on: where samples come from, their exact statistics, how they are scaled, and batches of them.

`sources` opens a source through the `readers`, `statistics` measures it, `scaling` maps raw values to what the network
sees, `dataset` gathers the rows of a batch. Nothing here knows ranks, or which rows a step takes.
"""
