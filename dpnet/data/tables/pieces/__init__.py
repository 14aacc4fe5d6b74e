"""Tables that may be larger than memory: cut into pieces, read once each, and put together without being held.

`text_blocks` and `stored` cut a table into pieces (`interface`), which the ranks of a conversion share. `spooled` is
the table that these make, and `rows` encodes its inputs a part at a time. Nothing here knows ranks, or where pieces are
kept.
"""
