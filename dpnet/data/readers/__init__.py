"""Readers of file formats: each turns bytes that may be damaged or hostile into checked arrays.

They share `guards`: a header is never trusted, and every error of a library becomes a DataError. `data.split` checks
what the arrays mean; nothing here knows scaling, batches or ranks.
"""
