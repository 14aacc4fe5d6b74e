"""A folder of Parquet files is one table, whose rows follow the names of the files."""

from pathlib import Path

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source, open_split
from dpnet.data.tables.files import is_table
from dpnet.errors import DataError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

X = np.random.default_rng(1).standard_normal(30)
TABLE = pa.table({"x": X, "n": np.arange(30), "kind": np.array(["b", "a", "c"])[np.arange(30) % 3]})


@pytest.fixture
def folder(tmp_path):
    """Four files, one of them without a row, with what Spark and Dask leave beside them."""
    path = tmp_path / "sales.parquet"
    path.mkdir()
    for number, rows in enumerate([slice(0, 12), slice(12, 13), slice(13, 13), slice(13, 30)]):
        parquet.write_table(TABLE.slice(rows.start, rows.stop - rows.start), str(path / f"part-{number}.parquet"))
    for name in ("_SUCCESS", "._SUCCESS.crc", ".part-0.parquet.crc", "_metadata", ".hidden.parquet", "README.md"):
        (path / name).write_text("no table")
    (path / "_temporary").mkdir()
    (path / "_temporary/part-9.parquet").write_text("no table")
    return path


def opened(path, **keys):
    return open_source(str(path), DataConfig(**{"target": "kind", **keys}))


def same(found, expected):
    return (
        found.inputs.tobytes() == expected.inputs.tobytes()
        and found.labels.tolist() == expected.labels.tolist()
        and found.classes == expected.classes
    )


def test_the_files_are_one_table_with_the_rows_of_one_file(folder, tmp_path):
    parquet.write_table(TABLE, str(tmp_path / "one.parquet"))
    for keys in ({}, {"test": 0.3}, {"categorical": ("n",)}, {"id": "n"}):
        found, expected = opened(folder, **keys), opened(tmp_path / "one.parquet", **keys)
        assert same(found.train, expected.train)
        assert (found.test is None) == (expected.test is None)
        assert found.test is None or same(found.test, expected.test)
    whole = opened(folder)
    assert any(
        "the rows of 4 Parquet files in order, part-0.parquet to part-3.parquet" in r for r in whole.train.remarks
    )
    assert same(open_split(str(folder), "test", whole.schema), whole.train)


def test_a_folder_serves_as_test_data(folder, tmp_path):
    parquet.write_table(TABLE, str(tmp_path / "one.parquet"))
    assert same(opened(tmp_path / "one.parquet", test=str(folder)).test, opened(folder).train)


def test_a_value_is_named_by_its_file_and_its_row_there(folder):
    table = pa.table({"x": pa.array([1.0, None]), "n": [1, 2], "kind": ["a", "b"]})
    parquet.write_table(table, str(folder / "part-1.parquet"))
    with pytest.raises(DataError, match=r"sales\.parquet/part-1\.parquet, row 1 \(from 0\), column 'x': .* missing"):
        opened(folder)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"x": [1.0], "kind": ["a"]}, r"part-1\.parquet has no column 'n', which part-0\.parquet has: these are not"),
        ({"x": [1.0], "n": [1], "m": [1], "kind": ["a"]}, r"part-0\.parquet has no column 'm', which part-1\.parquet"),
        ({"x": [1.0], "n": [1.5], "kind": ["a"]}, r"part-1\.parquet, column 'n' holds double, and in part-0.* int64"),
    ],
)
def test_files_of_other_columns_are_refused_by_file_and_column(folder, table, message):
    parquet.write_table(pa.table(table), str(folder / "part-1.parquet"))
    with pytest.raises(DataError, match=message):
        opened(folder)


def test_categories_and_columns_without_a_value_are_those_of_the_other_files(folder, tmp_path):
    kinds = pa.array(["a", "b", "a"]).dictionary_encode()
    parquet.write_table(
        pa.table({"kind": kinds, "n": pa.nulls(3), "x": [1.0, 2.0, 3.0]}), str(folder / "part-2.parquet")
    )
    found = opened(folder, missing="zero")
    assert found.train.inputs[13:16].tolist() == [[1, 0], [2, 0], [3, 0]]
    assert found.train.labels[13:16].tolist() == [0, 1, 0]


def test_the_folders_of_partitions_are_columns(tmp_path):
    for country, year, rows in (
        ("fr", "2024", [0, 1]),
        ("de", "2023", [2]),
        ("a b", "__HIVE_DEFAULT_PARTITION__", [3]),
    ):
        path = tmp_path / "p" / f"country={country.replace(' ', '%20')}" / f"year={year}"
        path.mkdir(parents=True)
        parquet.write_table(TABLE.take(rows), str(path / "part.parquet"))
    found = opened(tmp_path / "p", missing="zero")
    assert [(one.name, one.categories) for one in found.schema.features] == [
        ("x", None), ("n", None), ("country", ("a b", "de", "fr")), ("year", None),
    ]  # fmt: skip
    assert found.train.inputs[:, 1:].tolist() == [
        [3, 1, 0, 0, 0],
        [2, 0, 1, 0, 2023],
        [0, 0, 0, 1, 2024],
        [1, 0, 0, 1, 2024],
    ]
    assert opened(tmp_path / "p", target="country", ignore=["kind", "year"]).train.classes.text() == "a b, de, fr"


def test_a_file_within_partitions_is_read_without_the_names_of_the_folders(tmp_path):
    path = tmp_path / "country=de"
    path.mkdir()
    parquet.write_table(TABLE, str(path / "part.parquet"))
    assert [one.name for one in opened(path / "part.parquet").schema.features] == ["x", "n"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["country=de/p.parquet", "p.parquet"], r"p\.parquet lies at other folders NAME=VALUE than country=de/p\.parq"),
        (["x=1/p.parquet"], r"x=1/p\.parquet has a column x, as a folder above is called"),
    ],
)
def test_partitions_that_contradict_are_refused(tmp_path, files, message):
    for name in files:
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(TABLE, str(tmp_path / "p" / name))
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "p")


@pytest.mark.parametrize(
    ("names", "is_one"),
    [
        (["part-0.parquet"], True),
        (["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"], True),
        (["country_test_scores.parquet"], True),
        (["train.parquet", "test.parquet"], False),
        (["train-0.parquet", "train-1.parquet", "test-0.parquet"], False),
        (["part-0.parquet", "test.parquet"], False),
        (["part-0.parquet", "labels.csv"], False),
        (["train.csv", "test.csv"], False),
        (["_metadata.parquet", ".part.parquet"], False),
        (["inner/part-0.parquet"], False),
        ([], False),
    ],
)
def test_which_folders_are_one_table(tmp_path, names, is_one):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert is_table(str(tmp_path)) == is_one


def test_files_that_are_splits_by_their_names_are_to_be_named(tmp_path):
    for name in ("train-0.parquet", "train-1.parquet", "test-0.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"name one of .*/train-0\.parquet for example\. Parquet files that"):
        opened(tmp_path)


def test_a_damaged_file_of_a_folder_is_named(folder):
    data = (folder / "part-3.parquet").read_bytes()
    (folder / "part-3.parquet").write_bytes(data[:-8])
    with pytest.raises(DataError, match=r"part-3\.parquet cannot be read"):
        opened(folder)
    Path(folder / "part-3.parquet").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"part-3\.parquet does not start with PAR1"):
        opened(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2020/p.parquet", r"sales\.parquet: 2020/p\.parquet would be left out, as it lies in '2020': folders within"),
        ("a/b/p.parquet", r"a/b/p\.parquet would be left out, as it lies in 'a'"),
        ("c=1/x/p.parquet", r"c=1/x/p\.parquet would be left out, as it lies in 'c=1/x'"),
        ("c=1/x.csv", r"c=1/x\.csv would be left out: the files of a table end in \.parquet; rename it"),
        ("q.pq", r"q\.pq would be left out"),
        ("q.parquet.gz", r"q\.parquet\.gz would be left out"),
        ("000000_0", r"000000_0 would be left out"),
        ("x.tsv.gz", r"is a folder with .*x\.tsv\.gz; name one of these"),
    ],
)
def test_rows_that_would_be_left_out_are_refused_by_file(folder, name, message):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(TABLE, str(folder / name))
    with pytest.raises(DataError, match=message):
        opened(folder)


def test_check_sums_beside_the_files_are_left_alone(folder):
    for name in ("part-0.parquet.md5", "part-0.parquet.sha256", "columns.json"):
        (folder / name).write_text("no table")
    assert len(opened(folder).train) == 30


@pytest.mark.parametrize(("name", "kind"), [("_delta_log", "Delta Lake"), (".hoodie", "Hudi")])
def test_a_folder_whose_log_says_which_files_count_is_refused(folder, name, kind):
    (folder / name).mkdir()
    with pytest.raises(DataError, match=rf"is a table of {kind}, as {name} in it shows, and some .* replaced"):
        opened(folder)
