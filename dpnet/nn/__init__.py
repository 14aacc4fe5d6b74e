"""The mathematics of the network: layers, activations, losses, initial weights, and all their gradients.

`layout` defines where each tensor lies in a flat vector; parameters and gradients are such vectors, and others own
them. It imports numpy, `compute` and the error tree only: nothing here knows ranks, owners, files or optimizers.
"""
