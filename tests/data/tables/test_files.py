"""Tables are read as they are meant: delimiters, headers, missing values; and refused as what they are."""

import gzip

import numpy as np
import pytest

from dpnet.data.readers import guards
from dpnet.data.tables import files
from dpnet.data.tables.files import is_table, read_table
from dpnet.errors import ConfigError, DataError

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def read(tmp_path):
    def write(content, name="t.csv", **given):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(str(tmp_path / name), **given)

    return write


def shown(column):
    """The values of a column, text as text; None where they are missing."""
    values = [column.texts[place] for place in column.values] if column.kind == "text" else column.values.tolist()
    gone = np.zeros(len(values), bool) if column.missing is None else column.missing
    return [None if missing else value for value, missing in zip(values, gone, strict=True)]


def contents(table):
    return {name: (column.kind, shown(column)) for name, column in table.columns.items()}


EXPECTED = {
    "n": ("number", [1, 2]),
    "x": ("number", [0.5, -3e4]),
    "t": ("text", ["a", "b c"]),
    "b": ("boolean", [True, False]),
}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n"])
def test_the_delimiter_is_found(read, delimiter, start):
    lines = [["n", "x", "t", "b"], ["1", "0.5", "a", "true"], ["2", "-3e4", '"b c"', "false"]]
    table = read(start + "\n".join(delimiter.join(line) for line in lines))
    assert contents(table) == EXPECTED
    assert table.rows == 2


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv", "t.tsv"])
def test_compressed_text_is_seen_by_its_first_bytes(read, name):
    assert contents(read(gzip.compress(b"a,b\n1,2\n"), name)) == {"a": ("number", [1]), "b": ("number", [2])}


def test_text_that_is_not_compressed_in_spite_of_its_name(read):
    assert contents(read("a\n1\n", "t.csv.gz")) == {"a": ("number", [1])}


def test_columns_without_a_header_are_numbered(read):
    assert contents(read("1.5,2,NA\n3,4,5\n")) == {
        "0": ("number", [1.5, 3.0]),
        "1": ("number", [2, 4]),
        "2": ("number", [None, 5.0]),
    }


def test_what_stands_for_a_missing_value(read):
    table = read("i,t,b,all\n1,x,true,\n?,NA,,\n3,,false,\n")
    assert contents(table) == {
        "i": ("number", [1.0, None, 3.0]),
        "t": ("text", ["x", None, None]),
        "b": ("boolean", [True, None, False]),
        "all": ("number", [None, None, None]),
    }
    assert np.isnan(table.columns["i"].values[1])


def test_codes_keep_their_zeros_where_they_are_asked_for_as_text(read):
    assert contents(read("zip,y\n01234,1\n", as_text=["zip", "absent"]))["zip"] == ("text", ["01234"])
    assert contents(read("zip,y\n01234,1\n"))["zip"] == ("number", [1234])


def test_quoted_text_may_hold_the_delimiter_and_line_breaks(read):
    assert contents(read('a,b\n"x, y","1\n2"\n')) == {"a": ("text", ["x, y"]), "b": ("text", ["1\n2"])}


def test_the_index_of_a_data_frame_is_no_column(read):
    assert list(read(",a\n0,5\n1,6\n").columns) == ["a"]


def test_a_column_without_a_name_is_left_out_only_where_it_is_empty(read):
    assert list(read("a,k,\n1,x,\n2,y,\n").columns) == ["a", "k"]
    with pytest.raises(DataError, match=r"t.csv: column 1 \(from 0\) has no name; give it one"):
        read("a,,k\n1,5,x\n2,6,y\n")


FRAME = {
    "i": np.int16([1, 2]),
    "f": np.float32([0.1, np.nan]),
    "t": ["x", None],
    "d": np.array(["2020-01-01", "2021-01-01"], "M8[D]"),
    "__index_level_0__": [3, 4],
}


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrow"])
def test_files_that_store_columns(tmp_path, name):
    table = pa.table(
        {**FRAME, "c": pa.array(["u", "v"]).dictionary_encode(), "m": pa.array([1, None], pa.decimal128(5, 1))}
    )
    (parquet.write_table if name.endswith("parquet") else feather.write_feather)(table, str(tmp_path / name))
    found = read_table(str(tmp_path / name))
    assert contents(found) == {
        "i": ("number", [1, 2]),
        "f": ("number", [float(np.float32(0.1)), None]),
        "t": ("text", ["x", None]),
        "d": ("other", []),
        "c": ("text", ["u", "v"]),
        "m": ("number", [1.0, None]),
    }
    assert found.columns["d"].words.startswith("dates (date32")


def test_some_rows_keep_their_numbers_and_their_texts(read):
    part = read("t,x\na,1\nb,\nc,3\na,4\n").take(np.array([1, 3]), "two rows")
    assert contents(part) == {"t": ("text", ["b", "a"]), "x": ("number", [None, 4.0])}
    assert sorted(part.columns["t"].texts) == ["a", "b"]
    assert (part.number(1), part.rows) == (3, 2)
    assert part.name.endswith("t.csv (two rows)")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "t.csv cannot be read: Empty CSV file"),
        ("t.csv", "a,b\n", "has 0 rows and 2 columns; expected at least one"),
        ("t.csv", "a,b\n1\n", r"t.csv, line 2 has 1 cell, and the first line 2: '1'\. Every line must"),
        ("t.csv", "a,a\n1,2\n", "several columns of the same name: a; name each once"),
        (
            "t.csv",
            "a,é\n1,2\n".encode("latin-1"),
            r"t.csv, line 1: the byte 0xE9 in 'a,é' is not UTF-8, .*\(in Excel: ",
        ),
        ("t.csv", b"<!doctype html><html>", "is a web page .*, not a table"),
        ("t.csv", b"PK\x03\x04....", "is a zip archive"),
        ("t.csv", b"\x1f\x8b\x08broken", "t.csv (is truncated or damaged|cannot be read)"),
        ("t.parquet", "a,b\n1,2\n", "is text, not a Parquet file; .* name it .csv"),
        ("t.parquet", b"PAR1 and no more", "t.parquet cannot be read"),
        ("t.feather", b"ARROW1\0\0 and no more", "t.feather cannot be read"),
        ("t.feather", b"PAR1 and no more", "is a Parquet file, not a Feather file"),
    ],
)
def test_what_is_no_table_is_told_as_what_it_is(read, name, content, message):
    with pytest.raises(DataError, match=message):
        read(content, name)


def test_more_rows_than_the_machine_has_memory_for(tmp_path, monkeypatch):
    parquet.write_table(pa.table({"a": range(10)}), str(tmp_path / "t.parquet"))
    monkeypatch.setattr(guards.os, "sysconf", lambda name: 8)
    with pytest.raises(DataError, match=r"10 rows of 1 columns take 0\.0 GiB as numbers, .* dpnet maps instead"):
        read_table(str(tmp_path / "t.parquet"))


def test_without_pyarrow_the_extra_is_named(read, monkeypatch):
    def absent(name):
        raise ImportError

    monkeypatch.setattr(files.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=r"t\.csv is a table, which pyarrow reads; .* pip install 'dpnet\[tables\]'"):
        read("a\n1\n")


def test_a_table_is_known_by_its_name(tmp_path):
    (tmp_path / "t.CSV").touch()
    (tmp_path / "d.csv").mkdir()
    assert is_table(str(tmp_path / "t.CSV"))
    assert not is_table(str(tmp_path / "d.csv"))
    assert not is_table(str(tmp_path / "absent.csv"))
