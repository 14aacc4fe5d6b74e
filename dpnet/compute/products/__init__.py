"""Matrix products: the one seam through which all of them go, to numpy's BLAS, to oneDNN or to MKL.

A library binds a product to its arrays once and computes it as often as wanted. What is multiplied, and on how many
ranks, is nobody's business here.
"""
