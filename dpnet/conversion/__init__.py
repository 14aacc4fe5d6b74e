"""Data for trainings: converted by all ranks together into a folder that is mapped, and looked at.

What is on the disk is `data.converted`'s; here the ranks share the work, and say how far it is. Nothing here knows a
network or a checkpoint.
"""
