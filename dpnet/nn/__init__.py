"""The network: layers, activations, loss, initialisation and their gradients, in numpy alone.

Nothing here hears of ranks, files or optimizers. Parameters and gradients are flat vectors that others own; `layout`
says where in them each layer lives.
"""
