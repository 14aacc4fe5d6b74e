"""A file of text is cut between rows, and nowhere else, as Arrow sees rows."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpnet.data.tables.pieces.row_blocks import last_border, row_blocks
from dpnet.errors import DataError

csv = pytest.importorskip("pyarrow.csv")
NAMES = ["a", "b"]


def parsed(text):
    read = csv.ReadOptions(column_names=NAMES, use_threads=False, block_size=1 << 20)
    convert = csv.ConvertOptions(column_types=dict.fromkeys(NAMES, "string"))
    return csv.read_csv(io.BytesIO(text), read, csv.ParseOptions(newlines_in_values=True), convert).to_pylist()


PLAIN = st.text("ab ", max_size=4)
ODD = st.builds(lambda start, rest: start + rest, st.sampled_from("ab "), st.text('ab "', max_size=4))
QUOTED = st.text('ab,"\n\r', max_size=5).map(lambda text: '"' + text.replace('"', '""') + '"')
CELL = PLAIN | ODD | QUOTED
ROWS = st.lists(st.tuples(CELL, CELL).map(",".join), min_size=1, max_size=8)


@given(ROWS, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.integers(1, 20))
def test_blocks_have_the_rows_of_the_whole(rows, end, ends, size):
    text = (end.join(rows) + end * ends).encode()
    blocks = list(row_blocks(io.BytesIO(text), ",", "t.csv", size))
    assert b"".join(blocks) == text
    expected = parsed(text) if text.strip(b"\r\n") else []
    assert [row for block in blocks for row in parsed(block)] == expected


@pytest.mark.parametrize(
    ("text", "border"),
    [
        (b"a,b\nc,d\ne", 8),
        (b"a,b", 0),
        (b'a,"b\nc,d\n', 0),
        (b'a,b\n"c\n', 4),
        (b'a,"b\n""c\n"\nd', 11),
        (b'a,5" pipe\nb,"x\n', 10),
        (b'a, "x\nb, "y\n', 12),
        (b"a,b\r\nc,d\r", 5),
        (b"a,b\rc,d\re", 8),
    ],
)
def test_the_last_border_is_after_the_last_whole_row(text, border):
    assert last_border(text, b",") == border


def test_a_row_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr("dpnet.data.tables.pieces.row_blocks.MAX_LINE", 20)
    assert len(list(row_blocks(io.BytesIO(b"a,b\n" * 99), ",", "t.csv", 8))) > 40
    with pytest.raises(DataError, match=r"t\.csv: a line has more than 0 MiB, or a quotation mark was not closed"):
        list(row_blocks(io.BytesIO(b'a,"b' + b"\nc,d" * 99), ",", "t.csv", 8))
