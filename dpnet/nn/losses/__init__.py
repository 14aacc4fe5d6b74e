"""Losses: the end of the network, each with its gradient and the calculus that leads to it.

A loss sees the logits and the labels of some rows, and a factor on the gradient: the only place where anything is
divided by a number of samples. It knows no layer and no rank.
"""
