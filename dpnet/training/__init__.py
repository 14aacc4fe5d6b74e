"""The training loop: prepare, build the parts, take steps, and do what is due after each; survive, end.

`run.train` is the entry, `loop` the loop. This package brings the packages below it together, so it may know them all;
none of them knows it. Inference and the command line, above it, do.
"""
