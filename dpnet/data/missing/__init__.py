"""Missing values of arrays, which are NaN: what stands for them, as data.missing says.

What stands for them is fitted on the training samples, kept in checkpoints, and applied to all other samples. Columns
of a table have the same in their schema. Nothing here knows ranks, batches, or where samples come from.
"""
