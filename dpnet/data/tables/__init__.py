"""Tables: files of named columns, turned into the rows of numbers that a network takes.

`files` reads them by pyarrow into `columns`: those of `text`, and those `stored` as columns. `fit` makes the `schema`
that suits the training data, `encoding` and `inputs` follow it, `source` makes samples of it all. What is larger than
memory is read in `pieces`. Nothing here knows scaling, batches or ranks.
"""
