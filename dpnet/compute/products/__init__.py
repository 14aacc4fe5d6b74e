"""Matrix products by numpy's BLAS, oneDNN or MKL, behind one interface: `Products`.

A library binds a product to its arrays once and computes it as often as wanted; `choose` picks the library. Nothing
here knows what is multiplied, or on how many ranks.
"""
