"""Tables: files of named columns, turned into the rows of numbers that a network takes.

`files` reads them by pyarrow into `columns`, those of text by way of `head` and `textfile`. `fit` makes the `schema`
that suits the training data, `source` follows it. Nothing here knows scaling, batches or ranks.
"""
