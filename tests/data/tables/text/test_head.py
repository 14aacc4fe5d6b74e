"""The first line of a file of text is names or a sample; where that is not clear, it is not guessed."""

import pytest

from dpnet.data.tables.text import head as heads
from dpnet.data.tables.text.head import is_number, read_head
from dpnet.errors import DataError

LABELS = ["Iris-setosa", "Iris-versicolor", "Iris-virginica"]


@pytest.fixture
def head(tmp_path):
    def write(*rows, delimiter=","):
        text = "\n".join(delimiter.join(map(str, row)) if isinstance(row, list) else row for row in rows)
        (tmp_path / "t.csv").write_text(text)
        return read_head(str(tmp_path / "t.csv"), packed=False)

    return write


def some(*columns, rows=40):
    """Rows of which each column holds these values in turn; a number stands for numbers around it."""
    return [
        [column[row % len(column)] if isinstance(column, list) else column + row * 7 % 11 / 10 for column in columns]
        for row in range(rows)
    ]


IRIS, DIGITS, LETTERS = some(5, 3, 1, 0, LABELS), some([5, 0, 4], [0], [3, 200, 0]), some(["p", "e"], ["x", "y", "z"])


@pytest.mark.parametrize(
    ("rows", "names", "why"),
    [
        ([["length", "width", "a", "b", "species"], *IRIS], "yes", ""),
        (IRIS, "unclear", "numbers such as 5.0 stand in it above numbers"),
        ([[39, " State-gov", " <=50K"], *some([17, 50], [" Private", " ?"], [" <=50K"])], "unclear", "numbers such as"),
        (LETTERS, "unclear", "'p' stands in the same column below"),
        ([["x", "x", "won"], *some(["o"], ["o"], ["lost"])], "unclear", "'x' stands in it twice"),
        ([["colour", "shape"], *LETTERS], "yes", ""),
        ([["y", "x1", "x2"], *some(["y", "n"], 3, 4)], "yes", ""),  # A target whose name is one of its values.
        ([["y", "x1"], *some(["y", "n"], 3)], "unclear", "'y' stands in the same column below"),
        ([["#", "name", "price"], *some(1, list("abcd"), 3)], "yes", ""),
        ([["no.", "2019-01", "2019-02"], *some(1, 3, 4)], "yes", ""),
        ([["", "a", "kind"], *some(list(range(40)), 1, ["u"])], "yes", ""),  # The index of a data frame.
        (DIGITS, "no", ""),
        ([["1.5", 2, "NA"], *some(1, 2, 3)], "no", ""),
        ([["country", 2019, 2020, 2021], *some(["a", "b"], 30, 40, 50)], "yes", ""),
        ([["country", 2019, 2020], *some(["a", "b"], 30, 40)], "yes", ""),
        ([["country", 2019], *some(["a", "b"], 30)], "unclear", "numbers such as 2019"),
        ([["a", 400, 401.5, 404, 409, 411, 420], *some(["u", "v"], *range(6))], "yes", ""),  # Wavelengths.
        ([["a", 400, 401, 404, "v"], *some(["u", "v"], *range(3), ["v"])], "unclear", "numbers such as 400"),
        ([[400, 402.5, 405, 407.5], *some(1, 1, 1, 1)], "unclear", "its numbers stand in a row, as names do"),
        ([[1, 2, 3], *some([3, 0], [7, 1], [2, 5])], "no", ""),
        ([[0, 1, 2, "target"], *some(1, 2, 3, ["a"])], "yes", ""),
        ([[0, 1, 2], *some(1, 2, 3)], "yes", ""),  # As pandas names columns.
        ([[0, 1, 2], *some([0, 1], [1, 2], [2, 0])], "unclear", "it counts, but all its numbers stand below too"),
        ([[0, 1], *some([0, 1], [1, 0])], "no", ""),
        ([[0, 1], *some(5, ["a", "b"])], "unclear", "the number 1 stands in it above words"),
        ([[5, 1], *some(5, ["a", "1", "b"])], "no", ""),
        ([[6, "2013-09-28", 7], *some([6, 7], ["2014-01-01", "2015-02-02"], [7, 6])], "unclear", "numbers such as 6"),
        ([["user", 1, 2, 3], *some(["a", "b"], 0, [5, 0], [2, 9])], "unclear", "numbers such as 1"),
        ([["a", "b"]], "yes", ""),
        ([["Anna", "True"], ["Bob", "False"]], "unclear", "'True' is hardly a name"),
        ([["Anna", "yes"], ["Bob", "no"]], "unclear", "'yes' is hardly a name"),
        ([["-", "a"], ["Bob", "b"]], "unclear", "'-' is hardly a name"),
        ([["No", "Name"], ["A1", "Bob"]], "yes", ""),
        ([["a", 1]], "unclear", "no line stands below it"),
    ],
)
def test_names_are_told_from_samples(head, rows, names, why):
    found = head(*rows)
    assert (found.names, found.why[: len(why)]) == (names, why)
    assert found.cells == [str(cell) for cell in rows[0]]


@pytest.mark.parametrize(
    "odd", [r"\N", "-", "..", "unknown", "missing", ">100", "12 kg", "1,234", "$5", "5%", "NA", "?"]
)
@pytest.mark.parametrize("others", [["red", "yes"], ["Anna"], ["Anna", "Berlin"]])
def test_a_value_above_numbers_is_no_name(head, odd, others):
    again = [["red", "no"], ["blue", "yes"], ["red", "yes"]]  # The colours stand below too, the names of people do not.
    rows = again if "red" in others else [[f"{one} {row}" for one in others] for row in range(3)]
    assert head([odd, *others], *([row, *row_of] for row, row_of in enumerate(rows)), delimiter="|").names == "unclear"


@pytest.mark.parametrize(
    ("lines", "delimiter", "skip", "cells"),
    [
        (["a,b;c", "1,5;2", "3;4"], ";", 0, ["a,b", "c"]),
        (["a;b", "1,5;2,5", "3,5;4,5"], ";", 0, ["a", "b"]),
        (["a\tb", "x, y; z\tu", "x, y; z\tv"], "\t", 0, ["a", "b"]),
        (["id,kinds", "1,a|b|c", "2,a|c|d"], ",", 0, ["id", "kinds"]),
        (["Berlin, DE, 10115;yes", "Rome, IT, 00118;no"], ";", 0, ["Berlin, DE, 10115", "yes"]),
        (["Rome, IT\tyes", "Oslo, NO\tno", "Bonn, DE\tno"], "\t", 0, ["Rome, IT", "yes"]),
        (["a,b\tc,d", "1,2\t3,4", "5,6\t7,8"], "\t", 0, ["a,b", "c,d"]),
        (["1,5;2,5", "3,5;4,5", "3,5;4,0"], ";", 0, ["1,5", "2,5"]),
        (["1,0|1,p", "2,1|1,q"], ",", 0, ["1", "0|1", "p"]),
        (["39, a, x", "50, b, y"], ",", 0, ["39", " a", " x"]),
        (["a", "1", "2"], ",", 0, ["a"]),
        (["# made by a, b, and c", "", "   ", "a,b", "1,2", "3,4"], ",", 3, ["a", "b"]),
        (["#a,b", "1,2", "3,4"], ",", 0, ["#a", "b"]),
        ([",,", "a,b,c", "1,2,3"], ",", 1, ["a", "b", "c"]),
        (['a,"b', 'c"', "1,2"], ",", 0, ["a", "b\nc"]),
        (["a,b", '1,"x', *["3,y"] * 40_000], ",", 0, ["a", "b"]),
    ],
)
def test_the_delimiter_is_that_of_most_lines_and_the_head_begins_with_cells(head, lines, delimiter, skip, cells):
    found = head(*lines)
    assert (found.delimiter, found.skip, found.cells) == (delimiter, skip, cells)


def test_a_file_of_tabs_is_cut_at_tabs_if_it_has_any(tmp_path):
    for name, text, cells in [
        ("t.tsv", "a,b,c\td\n1,2,3\t4\n1,2,3\n", ["a,b,c", "d"]),
        ("t.TSV", "a,b\n1,2\n", ["a", "b"]),
        ("t.tsv", "1,2,3\tp\n4,5,6\tq\n", ["1,2,3", "p"]),
    ]:
        (tmp_path / name).write_text(text)
        assert read_head(str(tmp_path / name), packed=False).cells == cells


def test_a_long_first_line_is_read_to_its_end_and_one_too_long_is_refused(head, monkeypatch):
    names = [f"column{number}" for number in range(20_000)]
    assert head(names, [1] * 20_000).cells == names
    monkeypatch.setattr(heads, "MAX_LINE", 1000)
    with pytest.raises(DataError, match=r"t.csv, line 1 has more than .*; expected the cells of a sample"):
        head(names, [1] * 20_000)


@pytest.mark.parametrize("lines", [["5.1  3.5 a", " 4.9 3.0 b"], ["x  y", "1 2", "3 4"]])
def test_spaces_between_cells_are_refused(head, lines):
    with pytest.raises(DataError, match=r"t.csv: spaces seem to stand between the cells, .* expected commas"):
        head(*lines)


def test_spaces_within_the_cells_of_one_column_are_no_fault(head):
    assert head("home city", "New York", "Los Angeles").cells == ["home city"]
    assert head("petal width", "1.5", "0.5").cells == ["petal width"]


@pytest.mark.parametrize("cell", ["1", "-1.5", ".5", "5.", "+2e-3", " 7 ", "inf", "", " ?", "NA"])
def test_what_is_a_number(cell):
    assert is_number(cell)


@pytest.mark.parametrize("cell", ["1_000", "1,5", "٣", "0x10", "a", "1 2", "e5"])
def test_what_is_no_number(cell):
    assert not is_number(cell)
