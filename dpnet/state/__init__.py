"""Where parameters live: which rank owns which slice of the flat vectors, the two banks, and the owner's update.

It knows the ranks of a node and the optimizer. It does not know where a gradient comes from: it is handed tiles.
"""
