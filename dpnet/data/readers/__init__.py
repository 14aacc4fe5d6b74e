"""Readers of file formats: each turns bytes that may be damaged or hostile into checked arrays.

They share `guards`: a header is never believed, and every error of a library becomes a DataError. What the arrays mean
is for `data` to say.
"""
