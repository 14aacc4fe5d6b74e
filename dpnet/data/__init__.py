"""What is trained on: where samples come from, their exact statistics, how they are scaled, and batches of them.

`sources` opens a source through the `readers`, `statistics` measures it, `scaling` says what the network sees of it,
`dataset` gathers the rows of a batch. Which rows, and on which rank, is decided elsewhere: nothing here knows ranks.
"""
