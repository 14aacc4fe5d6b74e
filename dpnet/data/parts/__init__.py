"""Parts of data: which samples are trained on, which validate and which test.

A column of a table says it, or a share of the samples is held out. What is held out is found again for a trained
network. Nothing here knows ranks, batches, or what the numbers of a sample mean.
"""
