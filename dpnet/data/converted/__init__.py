"""Converted data: a folder of .npy files that training maps into memory, with a manifest of what they are.

It knows one rank alone, which reads or writes some of the rows; `dpnet.conversion` shares the rows out among ranks. Its
files were checked when they were written: they are not trusted when they are read.
"""
