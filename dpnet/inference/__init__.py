"""What a trained network is good for: exact scores and predictions from a checkpoint, spread over all ranks.

It is prepared as a training is, with the same products, loops and threads. It never changes a parameter and knows
neither optimizer nor gradient.
"""
