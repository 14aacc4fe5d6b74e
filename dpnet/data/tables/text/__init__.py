"""Tables that are files of text: what separates their cells, whether they have a line of names, and where a row stands.

`file.open_text` is what others call. Arrow reads the cells; what it would lose or merge in silence is noticed here.
Nothing here knows what a column is for.
"""
