"""Nothing of a file of text is lost or merged: quotes, bytes, lines, large numbers, words for what is missing."""

import gzip
import re

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source, open_split
from dpnet.data.tables.files import read_table
from dpnet.data.tables.text import file as textfile
from dpnet.data.tables.text import lines
from dpnet.errors import DataError

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def file(tmp_path):
    """Writes lines, bytes or the columns of a table; returns the path."""

    def write(content, name="t.csv"):
        path = tmp_path / name
        if isinstance(content, dict):
            parquet.write_table(pa.table(content), str(path))
        else:
            path.write_bytes(content if isinstance(content, bytes) else ("\n".join(content) + "\n").encode())
        return str(path)

    return write


def opened(path, **section):
    return open_source(path, DataConfig(target="k", **section))


def quoted(first, at, last=None, other=None):
    """A table of 99 rows in which the text of one line, or of two, is another."""
    lines = ["id,x,k", *(f"{row},{row % 7},{'ab'[row % 2]}" for row in range(99))]
    lines[at - 1] = first
    if last is not None:
        lines[other - 1] = last
    return lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (quoted('20,6,"a', 22, '68,5,"a', 70), "line 22, column 'k': a quotation mark .* closes it 48 lines below"),
        (quoted('20,6,"a', 22, '68,5,a"', 70), "line 22, column 'k': a quotation mark .* closes it 48 lines below"),
        (quoted('"20,6,a', 22, '68",5,a', 70), "line 22, column 'id': a quotation mark .* closes it 48 lines below"),
        (
            quoted('20,6,"a', 22),
            "line 22, column 'k': a quotation mark .* never closes it. Take the mark out",
        ),
        (quoted('20,6,"', 22, '68,5,"', 70), "line 22, column 'k': a quotation mark .* closes it 48 lines below"),
        (
            quoted('"20,6,a', 22, '"68,5,a', 70),
            "line 22 has 5 cells|line 22, column 'id': a quotation mark .* 48 lines",
        ),
        (quoted('98,0,"a', 100), "line 100, column 'k': a quotation mark .* never closes it. Take the mark out"),
        (
            quoted('20,"6,a', 22),
            r"line 22 has 2 cells, and the first line 3: .* A quotation mark is open there, to line 1",
        ),
        (quoted('20,"6,a', 22, '"68,5,a', 70), r"line 22 has 4 cells, .* A quotation mark is open there, to line 70"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_quote_that_swallows_rows_is_found(file, lines, message, name):
    text = ("\n".join(lines) + "\n").encode()
    with pytest.raises(DataError, match=message):
        opened(file(gzip.compress(text) if name.endswith("gz") else text, name), ignore=("id",))


@pytest.mark.parametrize(
    ("first", "closes", "message"),
    [
        ('id,"x,k', '3,"5,a', "line 1, the name 'x,k.n0,0,a.*: a quotation mark .* closes it 4 lines below"),
        ('id,x,"k', '3,5,"a', "line 1, the name 'k.n0,0,a.*: a quotation mark .* closes it 4 lines below"),
        ('"id,x,k', '3",5,a', "line 1, the name 'id,x,k.*: a quotation mark .* closes it 4 lines below"),
        (
            'id,x,"k',
            "3,5,a",
            r"no rows below line 1 \(id,x,\"k\): a quotation mark is open there, and nothing closes it",
        ),
        ('"id,x,k', "3,5,a", r"no rows below line 1 .*: a quotation mark is open there, and nothing closes it"),
    ],
)
@pytest.mark.parametrize("long", ["", "b" * 2000])
def test_a_quote_among_the_names_that_swallows_rows_is_found(file, first, closes, message, long):
    lines = quoted(closes.replace("a", "a" + long), 5, first, 1)
    with pytest.raises(DataError, match=message):
        opened(file([line.replace(",b", ",b" + long) for line in lines]), header=True)


def test_a_name_of_several_lines_is_one(file):
    rows = [f"{row},{row % 7},{'ab'[row % 2]}" for row in range(9)]
    table = read_table(file(['id,"height, left', '(cm), all",k', *rows]))
    assert (table.rows, list(table.columns)) == (9, ["id", "height, left\n(cm), all", "k"])


def test_text_of_several_lines_is_read_where_it_is_no_label_category_or_name(file):
    lines = ["note,x,k", *(f'"one, two\nthree\n{row}",{row},{"ab"[row % 2]}' for row in range(20))]
    path = file([*lines, '"end\n",20,"b"'])
    assert opened(path, ignore=("note",)).train.inputs[:, 0].tolist() == list(range(21))
    for section in ({"categorical": ("note",)}, {"id": "note"}):
        with pytest.raises(
            DataError, match=r"line 2, column 'note': the value 'one, two\\nthree\\n0' has a line break"
        ):
            opened(path, **section)
    with pytest.raises(
        DataError, match=r"line 5, column 'k': the value 'a\\nb' has a line break, as if a quotation mark"
    ):
        opened(file(["x,k", '1,"c"', "2,c", "", '3,"a', 'b"']))


def test_text_of_several_lines_with_as_many_commas_as_a_row_is_read_where_its_words_are_no_numbers(file):
    addresses = [f'{row},"Street {row}, left\nCity, Land",{row % 2}' for row in range(9)]
    assert len(opened(file(["x,address,k", *addresses]), ignore=("address",)).train) == 9


def test_text_of_several_lines_may_end_the_file(file):
    assert len(opened(file(["x,k,note", "1,a,u", '2,b,"one', 'two"']), ignore=("note",)).train) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x,t,k\n" + b"1,a,a\n" * 60_000 + b"2,ol\xe9,b\n", r"line 60002: the byte 0xE9 in '2,olé,b' is not UTF-8"),
        (b"x,t,k\n" + b"1,a,a\n" * 60_000 + b"2,a,\x80\n", "line 60002: the byte 0x80 in .* Latin-1 or Windows-1252"),
        ("x,k\n1,a\n".encode("utf-16"), 'is UTF-16, as Excel writes "Unicode Text"; save it as UTF-8'),
        ("x,k\n1,a\n".encode("utf-16-le"), "is UTF-16LE; save it as UTF-8: iconv -f UTF-16LE -t UTF-8 .*t.csv"),
        ("x,k\n1,a\n".encode("utf-16-be"), "is UTF-16BE; save it as UTF-8"),
        (b"x,k", r"has no rows below line 1 \(x,k\); expected at least one"),
    ],
)
@pytest.mark.parametrize("section", [{}, {"categorical": ("t",)}])
def test_a_byte_that_is_no_utf8_is_shown_by_its_line(file, content, message, section):
    with pytest.raises(DataError, match=message):
        opened(file(content), **section)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_is_counted_as_an_editor_does(file, end):
    lines = ["# made by hand", "note,x,k", '"one', 'two",1,a', "", "u,2,a", "v,,b", ""]
    path = file(end.join(lines).encode())
    assert [read_table(path).place(row, "x") for row in range(3)] == [
        f"{path}, line {line}, column 'x'" for line in (3, 6, 7)
    ]
    with pytest.raises(DataError, match=r"line 7, column 'x': the value is missing"):
        opened(path, ignore=("note",))


def test_a_row_too_far_down_is_counted_from_0(file, monkeypatch):
    monkeypatch.setattr(lines, "MAX_SEARCHED", 1)
    table = read_table(file(["x", *"12345"]))
    assert [table.place(row, "x").split(", ")[1] for row in (1, 2)] == ["line 3", "row 2 (from 0)"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['"x","k"', '"1",5,"a"', '"2",6,"b"'], "line 2 has 3 cells, and the first line 2: .* row.names = FALSE"),
        (["x,k", "1,5,a", "6,b"], "line 2 has 3 cells, and the first line 2: '1,5,a'. Every line must have as many.$"),
        (["x,t,k", '1, "u, v",a', "2,w,b"], "line 2 has 4 cells, .* where the cell begins: take the space before it"),
        (["x,t,k", "1,'u, v',a", "2,w,b"], "line 2 has 4 cells, .* Only double quotation marks keep"),
        (["x,t,k", "1,'tis,a", "2,'twas,b,c"], "line 3 has 4 cells, .* must have as many.$"),
        (["x,t,k", "1,u,a", '"2,w,b'], "line 3 has 1 cell, .*: '\"2,w,b'. .* open there, and nothing closes it"),
        (
            ['"x" "t" "k"', '"1" 1 2 "a"', '"2" 1 3 "b"'],
            r"spaces seem to stand .* In R: write.csv\(..., row.names = FALSE",
        ),
    ],
)
def test_why_a_line_has_another_number_of_cells_is_told(file, lines, message):
    with pytest.raises(DataError, match=message):
        opened(file(lines))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("sign", [";", "\t", ","])
def test_a_line_that_names_the_delimiter_for_excel_is_no_row(file, sign, end):
    rows = [f"{row},5{sign}{'ab'[row % 2]}" if sign == ";" else f"{row}{sign}{'ab'[row % 2]}" for row in range(4)]
    table = read_table(file(end.join([f"sep={sign}", f"t{sign}k", *rows]).encode()))
    assert (table.rows, list(table.columns)) == (4, ["t", "k"])
    assert table.place(0, "t").endswith("line 3, column 't'")


def test_a_line_that_is_too_long_is_told_as_such(file, monkeypatch):
    monkeypatch.setattr(textfile, "MAX_LINE", 1000)
    with pytest.raises(DataError, match=r"a line has more than .* or a quotation mark was not closed"):
        opened(file(["x,t,k", "1,a,a", f"2,{'b' * 3000},a"]))


IDS = ["NA", "null", "None", "", "nan", "?", "007"]


@pytest.mark.parametrize("written", ["True", " True", "True ", "TRUE", "1", " 1 "])
@pytest.mark.parametrize("gone", ["", " ?", "NA "])
def test_booleans_stay_booleans_beside_spaces(file, written, gone):
    source = opened(file(["x,k", "True,a", "False,b", ",a"]), missing="mean")
    other = file(["x,k", f"{written},a", "False,b", f"{gone},a"])
    assert open_split(other, schema=source.schema).inputs.tolist() == [[1], [0], [0.5]]
    assert opened(other, missing="mean").schema == source.schema


def test_the_names_of_rows_stand_as_they_are(file):
    path = file(["id,x,k", *(f"{name},{row},{'ab'[row % 2]}" for row, name in enumerate(IDS))])
    source = opened(path, id="id")
    assert source.train.names.tolist() == IDS
    assert open_split(path, schema=source.schema).names.tolist() == IDS


BIG = 2**53 + 1


@pytest.mark.parametrize("large", [f"{BIG}.0", str(BIG), str(2**63 + 1), str(2**64 + 1), f"-{BIG}", f" {BIG}"])
@pytest.mark.parametrize("other", ["1", "2.5", "", "NA "])
def test_numbers_that_would_merge_are_refused_however_the_file_writes_them(file, large, other):
    seen = rf"line 3, column 'x': the value is {re.escape(large.strip())}, beyond 2\*\*53"
    with pytest.raises(DataError, match=seen):
        opened(file(["x,k", "7,b", f"{large},a", f"{other},b"]), missing="mean")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([7, None, BIG]),
        pa.array([2**63 + 1, None, 2], pa.uint64()),
        pa.array([1, BIG]).cast(pa.decimal128(38, 2)),
    ],
)
def test_numbers_that_would_merge_are_refused_from_files_of_columns(file, values):
    with pytest.raises(DataError, match=r"t.parquet, row . \(from 0\), column 'x': the value is .*, beyond 2\*\*53"):
        opened(file({"x": values, "k": list("abc")[: len(values)]}, "t.parquet"), missing="mean")


def test_large_numbers_that_are_what_the_file_holds_are_taken(file):
    numbers = ["1e20", "1.2345678901234567e+25", "18014398509481984.0", "99999999999999991611392", "-1e300"]
    found = opened(file(["x,k", *(f"{number},a" for number in numbers), "0,b"])).train.inputs[:-1, 0]
    assert found.tolist() == [float(number) for number in numbers]


def test_large_numbers_take_one_more_reading_of_the_file_however_many_columns_have_them(file, monkeypatch):
    monkeypatch.setattr(textfile, "MAX_LINE", 1 << 12)  # So the file comes in pieces.
    rows = [[f"{row}.5e20", f"{2**70 + 2**20 * row}", str(BIG) if row == 700 else "1.5", "a"] for row in range(900)]
    path = file(["u,v,w,k", *map(",".join, rows)])
    read, pieces = [], textfile.TextFile.pieces
    monkeypatch.setattr(textfile.TextFile, "pieces", lambda text, names: read.append(text) or pieces(text, names))
    columns = read_table(path).columns
    assert [None if column.wide is None else np.flatnonzero(column.wide).tolist() for column in columns.values()] == [
        None,
        None,
        [700],
        None,
    ]
    assert columns.take(np.array([700, 3]))["w"].wide.tolist() == [True, False]
    assert len(read) == 1


@pytest.mark.parametrize("codes", [["0xFFFFFFFFFFFFFFFF", "0x01"], ["0x1F", "0X20"], [" 0x1F", "31", "32"]])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_hexadecimal_numbers_are_text(file, codes, name):
    text = ("\n".join(["n,c,k", *(f"7,{code},{code}" for code in codes)]) + "\n").encode()
    path = file(gzip.compress(text) if name.endswith("gz") else text, name)
    source = opened(path, categorical=("c",))
    assert source.schema.features[1].categories == tuple(sorted(codes))
    assert source.train.classes.values.tolist() == sorted(codes)
    if "31" not in codes:
        assert opened(path).schema == source.schema
    else:
        with pytest.raises(DataError, match=r"the value is ' 0x1F', in a column of numbers; expected plain numbers"):
            opened(path)


def test_a_zero_byte_is_refused(file):
    for content in (b"t,k\nu\0,a\nu,b\n", b"t,k\nu,a\nv,a\0\n"):
        with pytest.raises(DataError, match=r"column '[tk]': the text '[ua]\\x00' holds a zero byte"):
            opened(file(content))
    with pytest.raises(DataError, match=r"column 'k': the text 'a\\x00' holds"):
        opened(file({"x": [1, 2], "k": ["a", "a\0"]}, "t.parquet"))


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["True", "False", "True"], [True, False, True]),
        (["TRUE", "false", "true"], [True, False, True]),
        (["1", "2", "1"], [1.0, 2.0, 1.0]),
        (["1.0", "0.1", "1e+20"], [1.0, 0.1, 1e20]),
        (["0.1", "2.5", "0.1"], pa.array([0.1, 2.5, 0.1], pa.float32())),
        (["01", "1", "1.10"], ["01", "1", "1.10"]),
    ],
)
def test_a_category_is_the_same_from_every_kind_of_file(file, texts, values):
    labels = ["a", "b", "b"]
    text = file(["c,k", *map(",".join, zip(texts, labels, strict=True))])
    columns = file({"c": values, "k": labels}, "t.parquet")
    made = [opened(path, categorical=("c",)) for path in (text, columns)]
    assert made[0].schema == made[1].schema
    assert made[0].schema.width == len(set(texts) - {"true"})
    for source, path in zip(made, (columns, text), strict=True):
        other = open_split(path, schema=source.schema)
        assert np.array_equal(other.inputs, source.train.inputs)
        assert other.remarks == ()


def test_the_same_texts_stand_for_a_missing_value_in_every_kind_of_file(file):
    columns = {"x": list(range(6)), "c": ["red", "", "blue", " ?", "NA", None], "k": list("ababab")}
    cells = zip(*columns.values(), strict=True)
    text = file(["x,c,k", *(",".join("" if cell is None else str(cell) for cell in row) for row in cells)])
    feather.write_feather(pa.table(columns), text.replace(".csv", ".feather"))
    paths = [text, file(columns, "t.parquet"), text.replace(".csv", ".feather")]
    for path in paths:
        with pytest.raises(DataError, match=r"column 'c': the value is missing, as in 4 rows of 6"):
            opened(path)
    made = [opened(path, missing="indicator") for path in paths]
    assert made[0].schema.features[1].categories == ("blue", "red")
    for source in made[1:]:
        assert source.schema == made[0].schema
        assert np.array_equal(source.train.inputs, made[0].train.inputs)


def test_texts_that_stand_for_a_missing_value_are_names_and_classes_in_files_of_columns_too(file):
    columns = {"id": ["NA", "?", "a", "b"], "x": [1, 2, 3, 4], "k": ["NA", "u", "NA", "u"]}
    path = file(columns, "t.parquet")
    with pytest.raises(DataError, match=r"the label is missing, .* If NA is a class: data.categorical = \[\"k\"\]"):
        opened(path, id="id")
    source = opened(path, id="id", categorical=("k",))
    assert source.train.names.tolist() == columns["id"]
    assert source.train.classes.values.tolist() == ["NA", "u"]
