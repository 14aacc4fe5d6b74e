"""Losses: the end of the network, each with its gradient and the calculus that leads to it.

A loss sees the logits and the labels of some rows, and one factor on the gradient. It knows no layer and no rank.
"""
