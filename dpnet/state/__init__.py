"""Where parameters live: the two banks of a node, which rank owns which slice of them, and the owner's update.

`state` knows the ranks of a node and the optimizer. It does not know how a gradient comes about: it is given tiles.
"""
