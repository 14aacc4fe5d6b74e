"""What a trained network is good for: exact scores and predictions from a checkpoint, spread over all ranks.

A network is prepared as for its training, with the same products, loops and threads. Nothing here changes a parameter,
or knows an optimizer or a gradient.
"""
