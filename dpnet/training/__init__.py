"""The training loop: prepare, build the parts, take steps, and do what is due after each; survive, end.

`run.train` is the way in, `loop` the loop. It brings all other rooms together, so it may know them; none of them knows
it, but for inference and the command line above.
"""
