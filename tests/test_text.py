"""Lists and numbers in messages."""

from dpnet.text import table


def test_columns_are_as_wide_as_their_widest_cell():
    assert table(("name", "n"), [("a", 100), ("longer", "")]) == "name      n\na       100\nlonger"
