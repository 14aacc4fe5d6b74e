"""The training loop: prepare, build the parts, take steps, and do what is due after each; survive, end.

`run.train` is the entry, `loop` the loop. This package brings the packages below it together. Only inference and the
command line, above it, import it.
"""
