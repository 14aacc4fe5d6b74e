"""Files that store columns: each is read as what it is, and one that is something else is told as that."""

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source
from dpnet.errors import DataError

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

TABLE = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "kind": ["a", "b", "a", "b"]})


def opened(path, **keys):
    return open_source(str(path), DataConfig(**{"target": "kind", **keys}))


def stream(path, *tables):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["t.arrow", "t.feather"])
def test_a_stream_of_arrow_is_read_whole(tmp_path, name):
    stream(tmp_path / name, TABLE, TABLE.slice(1))
    train = opened(tmp_path / name).train
    assert train.inputs[:, 0].tolist() == [1, 2, 3, 4, 2, 3, 4]
    assert train.labels.tolist() == [0, 1, 0, 1, 1, 0, 1]


def test_a_stream_that_may_lack_rows_is_refused(tmp_path):
    path = tmp_path / "t.arrow"
    data = stream(path, TABLE, TABLE)
    for size in range(8, len(data), 16):
        path.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"t\.arrow"):
            opened(path)
    path.write_bytes(data[:-8])
    with pytest.raises(DataError, match=r"does not end as a stream of Arrow does; it is truncated"):
        opened(path)
    path.write_bytes(data + data)
    with pytest.raises(DataError, match=rf"holds more after the end of its table, at byte {len(data):,}"):
        opened(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.parquet", b"x,y\n1,2\n", r"is text, not a Parquet file; if cells stand in its lines, name it \.csv"),
        ("t.feather", b"x\ty\n1\t2\n", r"is text, not a Feather file; if cells"),
        ("t.parquet", b"ARROW1\0\0", r"is a Feather file, not a Parquet file; name it \.feather"),
        ("t.csv", b"ARROW1\0\0", r"is a Feather file, not a table; name it \.feather"),
        ("t.feather", b"PAR1", r"is a Parquet file, not a Feather file; name it \.parquet"),
        ("t.arrow", b"FEA1", r"is a Feather file of version 1, .* pd\.read_feather\("),
        ("t.parquet", b"\1\2\3\4,", r"does not start with PAR1, as a Parquet file does; it is damaged"),
        ("t.parquet", b"", r"is empty; expected a Parquet file"),
    ],
)
def test_a_file_of_another_kind_is_told_as_what_it_is(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        opened(tmp_path / name)


NESTED = {
    "tags": pa.array([[1], [2], [3], [4]]),
    "point": pa.array([{"a": 1}] * 4),
    "bytes": pa.array([b"\xff\xfe"] * 4),
}


@pytest.mark.parametrize("name", NESTED)
def test_lists_records_and_bytes_are_refused_by_column_whatever_they_should_be(tmp_path, name):
    parquet.write_table(TABLE.append_column(name, NESTED[name]), str(tmp_path / "t.parquet"))
    for keys, message in (
        ({"id": name}, r"\(data\.id\) holds .*; expected text, numbers or dates that name the rows"),
        (
            {"categorical": [name]},
            rf"holds .*, which cannot be an input; leave the column out: data\.ignore = ..{name}",
        ),
        ({"target": name, "categorical": [name]}, r"holds .*; expected labels"),
    ):
        with pytest.raises(DataError, match=rf"t\.parquet, column '{name}' {message}"):
            opened(tmp_path / "t.parquet", **keys)
    assert len(opened(tmp_path / "t.parquet", ignore=[name]).train) == 4


def test_two_columns_of_one_name_are_refused_in_every_format(tmp_path):
    twice = pa.table([np.arange(2.0), np.arange(2.0), ["a", "b"]], names=["x", "x", "kind"])
    (tmp_path / "folder").mkdir()
    for name in ("t.parquet", "folder/a.parquet", "folder/b.parquet"):
        parquet.write_table(twice, str(tmp_path / name))
    feather.write_feather(twice, str(tmp_path / "t.feather"))
    stream(tmp_path / "t.arrow", twice)
    for name in ("t.parquet", "t.feather", "t.arrow", "folder"):
        with pytest.raises(DataError, match=r"has several columns of the same name: x; name each once"):
            opened(tmp_path / name)
