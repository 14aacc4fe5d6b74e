"""The matrix products: the one seam through which all of them go, to numpy's BLAS, to oneDNN or to MKL."""
