"""Pieces of a table in the place of the whole: the same columns, the same types."""

import io
import itertools

import pytest

from dpnet.data.tables.pieces.spooled import Spooled, converts, joined_type, with_texts

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")

CELLS = {
    "null": "",
    "integer": "5",
    "one": "1",
    "boolean": "True",
    "date": "2020-01-01",
    "time": "10:11:12",
    "seconds": "2020-01-01 10:11:12",
    "parts": "2020-01-01 10:11:12.5",
    "zone": "2020-01-01T10:11:12Z",
    "zone and parts": "2020-01-01T10:11:12.5Z",
    "real": "1.5",
    "text": "abc",
}


def column(*cells, kind=None):
    types = {} if kind is None else {"a": kind}
    text = "a,b\n" + "".join(f"{cell},1\n" for cell in cells)
    options = csv.ConvertOptions(column_types=types)
    return csv.read_csv(io.BytesIO(text.encode()), convert_options=options).column("a")


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations_with_replacement(CELLS, 2)])
def test_pieces_together_have_the_type_and_the_values_of_the_whole(one, other):
    cells = CELLS[one], CELLS[other]
    pieces, whole = [column(cell) for cell in cells], column(*cells)
    kind = joined_type([piece.type for piece in pieces])
    if kind != whole.type:  # Read again as booleans, 5 is none: then it is text.
        assert (kind, whole.type, set(cells)) == (pa.bool_(), pa.string(), {"True", "5"})
        kind = joined_type([pa.bool_(), pa.string()])
    assert kind == whole.type
    found = []
    for cell, piece in zip(cells, pieces, strict=True):
        piece = piece if converts(piece.type, kind) else column(cell, kind=kind)
        found += Spooled([pa.table({"a": piece})], pa.schema([("a", kind)])).column("a").to_pylist()
    expected = [None if value == "" else value for value in whole.to_pylist()]  # Both are missing to `columns`.
    assert [None if value == "" else value for value in found] == expected


def test_large_integers_become_numbers_as_they_are_read():
    cell = str(2**53 + 1)
    spooled = Spooled([pa.table({"a": column(cell)}), pa.table({"a": column("0.5")})], pa.schema([("a", pa.float64())]))
    assert spooled.column("a").to_pylist() == column(cell, "0.5").to_pylist() == [2.0**53, 0.5]


def test_slices_have_the_rows_of_the_whole():
    pieces = [pa.table({"a": list(range(first, last))}) for first, last in ((0, 3), (3, 3), (3, 4), (4, 9))]
    spooled = Spooled(pieces, pa.schema([("a", pa.float64())]))
    assert spooled.num_rows == 9
    for first, last in itertools.combinations(range(10), 2):
        part = spooled.slice(first, last - first)
        assert part.column("a").to_pylist() == part.table()["a"].to_pylist() == list(range(first, last))
        again = part.slice(1, last - first - 1)
        assert again.column(0).to_pylist() == list(range(first + 1, last))


def test_different_texts_are_kept_where_they_are_few(monkeypatch):
    texts = pa.table({"a": ["01", "1", "01", "2"]})
    table = with_texts(pa.table({"a": [1, 1, 1, 2]}), texts)
    spooled = Spooled([table, table.slice(0, 0)], table.schema)
    assert sorted(spooled.texts_of("a")) == ["01", "1", "2"]
    assert spooled.texts_of("b") is None
    monkeypatch.setattr("dpnet.data.tables.pieces.spooled.MOST_TEXTS", 2)
    assert Spooled([with_texts(table, texts)], table.schema).texts_of("a") is None
