"""One file for each command of `dpnet`: its `run` takes the parsed arguments and the ranks, and returns an exit code.

Every rank runs it. Options are declared in `cli.parser`, as parsing must not import numpy, which these files do.
"""
