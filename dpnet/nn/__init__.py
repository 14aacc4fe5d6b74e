"""The mathematics of the network: layers, activations, losses, initial weights, and all their gradients.

`layout` says where each tensor lies in a flat vector; parameters and gradients are such vectors, and others own them.
numpy and `compute` alone: nothing here knows ranks, owners, files or optimizers.
"""
