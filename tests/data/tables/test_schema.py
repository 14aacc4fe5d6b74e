"""Columns become inputs: what each turns into, what is refused by row and column, and what a checkpoint keeps."""

import pytest

from dpnet.config.data import DataConfig
from dpnet.data.tables.encoding import encode
from dpnet.data.tables.files import read_table
from dpnet.data.tables.fit import fit_schema
from dpnet.data.tables.roles import find_roles
from dpnet.data.tables.schema import Feature, Schema, recorded_schema
from dpnet.errors import DataError

pytest.importorskip("pyarrow")
NAN = float("nan")


@pytest.fixture
def fit(tmp_path):
    """Fits a schema to lines of CSV, with y the target; returns it and the inputs of the same lines."""

    def fitted(*lines, **section):
        (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
        config = DataConfig(target="y", **section)
        roles = find_roles(config, read_table(str(tmp_path / "t.csv")))
        table = read_table(str(tmp_path / "t.csv"), as_text=roles.texts)
        schema = fit_schema(table, roles, missing=config.missing)
        return schema, encode(schema, table).inputs.tolist()

    return fitted


def apply(schema, tmp_path, *lines):
    (tmp_path / "other.csv").write_text("\n".join(lines) + "\n")
    return encode(schema, read_table(str(tmp_path / "other.csv"), as_text=schema.texts))


def test_numbers_stay_and_texts_become_one_input_each(fit):
    schema, inputs = fit("a,t,b,y", "1,red,true,0", "2.5,blue,false,1", "3,red,false,1")
    assert inputs == [[1, 0, 1, 1], [2.5, 1, 0, 0], [3, 0, 1, 0]]
    assert schema.text() == "3 columns make 4 inputs: t (2 categories)"
    assert fit("a,y", "1,0", "2,1")[0].text() == "1 column makes 1 input"


def test_other_data_follow_the_schema_whatever_the_order_of_their_columns(fit, tmp_path):
    schema, _ = fit("a,t,y", "1,red,0", "2,blue,1", "3,,1", missing="zero")
    found = apply(schema, tmp_path, "t,more,a", "blue,9,7", "mauve,9,8", ",9,9", "grey,9,1", "mauve,9,2")
    assert found.inputs.tolist() == [[7, 1, 0], [8, 0, 0], [9, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert found.strange == {"t": (["grey", "mauve"], 3, 1)}


@pytest.mark.parametrize(
    ("section", "columns"),
    [
        ({}, ["p1", "p2", "q[0]", "r"]),
        ({"ignore": ("p*",)}, ["q[0]", "r"]),
        ({"features": ("r", "p1")}, ["p1", "r"]),
        ({"features": ("p?",), "ignore": ("p2",)}, ["p1"]),
        ({"ignore": ("q[0]",)}, ["p1", "p2", "r"]),
    ],
)
def test_columns_are_chosen_by_name_or_pattern(fit, section, columns):
    schema, _ = fit("p1,p2,q[0],y,r", "1,2,3,4,5", "1,2,3,4,5", **section)
    assert [feature.name for feature in schema.features] == columns


@pytest.mark.parametrize(
    ("missing", "inputs"),
    [
        ("mean", [[1, 1], [2, 0], [3, 0]]),
        ("zero", [[1, 1], [0, 0], [3, 0]]),
        ("indicator", [[1, 0, 1, 0], [2, 1, 0, 1], [3, 0, 0, 1]]),
    ],
)
def test_missing_values_are_filled_in(fit, missing, inputs):
    assert fit("a,t,y", "1,x,0", ",,1", "3,,1", missing=missing)[1] == inputs


def test_a_value_that_is_missing_only_in_other_data_gets_the_mean_of_the_training(fit, tmp_path):
    schema, _ = fit("a,t,y", "1,x,0", "3,z,1", missing="indicator")
    assert apply(schema, tmp_path, "a,t", ",", "5,z").inputs.tolist() == [[2, 0, 0], [5, 0, 1]]


def test_codes_are_categories_where_they_are_named(fit, tmp_path):
    schema, inputs = fit("zip,y", "01,0", "1,1", categorical=("zip",))
    assert inputs == [[1, 0], [0, 1]]
    assert apply(schema, tmp_path, "zip", "1").inputs.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("lines", "section", "message"),
    [
        (
            ["a,y", "1,0", ",1"],
            {},
            r"line 3, column 'a': the value is missing, as in 1 row of 2\. To .*data\.missing",
        ),
        (["t,y", "x,0", ",1", ",1"], {}, r"line 3, column 't': the value is missing, as in 2 rows of 3"),
        (["a,t,y", "1,x,0", ",,1"], {}, r"as in 1 row of 2\. Values are missing in 2 columns: a, t\. To train"),
        (["a,y", "1,0", "inf,1"], {}, r"line 3, column 'a': the value is inf; expected a finite number"),
        (
            ["a,y", ",0"],
            {"missing": "mean"},
            r"'a': every value is missing; .*: data\.ignore = \[\"a\"\]",
        ),
        (
            ["d,y", "2020-01-31,0"],
            {},
            r"'d' holds dates \(date32\[day\]\), .* the days since a date, or leave the column",
        ),
        (["a;b;y", "1,5;2;0"], {}, r"line 2, column 'a': the value is '1,5', in a column of numbers"),
        (["a,y", "1,0", "2,0", "5 %,1"], {}, r"line 4, column 'a': the value is '5 %', in a column of numbers"),
        (["a,y", "1,0", "$2.50,0"], {}, r"line 3, column 'a': the value is '\$2.50', in a column of numbers"),
        (["a,y", "1,0", "2,0", "-,1"], {}, r"line 4, column 'a': the value is '-', .*data.categorical = \[\"a\"\]"),
        (["a,y", "9007199254740993,0"], {}, r"line 2, .*the value is 9007199254740993, beyond 2\*\*53"),
        (["a,y", "1,0"], {"ignore": ("b",)}, r"has no column 'b' \(data.ignore\); it has a, y"),
        (
            ["age_yrs,y", "1,0"],
            {"features": ("age_yr",)},
            r"'age_yr' \(data.features\); did you mean 'age_yrs'\?",
        ),
        (["a,y", "1,0"], {"ignore": ("*",)}, r"no column is left to learn from, of a, y"),
    ],
)
def test_columns_that_cannot_be_inputs(fit, lines, section, message):
    with pytest.raises(DataError, match=message):
        fit(*lines, **section)


@pytest.mark.parametrize(
    "texts",
    [
        ["5 kg", "7 kg"],
        ["10k", "1.5M"],
        ["USD 5", "¥5"],
        ["5°C", "-3 °C"],
        ["7", "<5", ">=90"],
        ["(5)", "\N{MINUS SIGN}3"],
        ["1\N{THIN SPACE}234;5", "2\N{NARROW NO-BREAK SPACE}000"],
        ["5 / 10", "7/10"],
        ["10+ years", "< 1 year", "3 years"],
        ["2h 50m", "19h"],
        ["5 ft 10 in", "6ft"],
        ["1_000", "2_000"],
        ["31.12.2020", "1.2.2021"],
        ["Dec 31; 2020", "Jan-2021"],
        ["8:15 pm", "9am"],
        [*"0123456789" * 6, *(f"junk {'abcdefghijklmnopqrstuvwxyzABCD'[number]}" for number in range(30))],
        [*(f"{number}" for number in range(30)), *["n.a."] * 60],
    ],
)
def test_what_people_write_for_numbers_and_dates_is_no_category_unless_it_is_named(fit, texts):
    lines = ["a,y", *(f'"{text.replace(";", ",")}",{row % 2}' for row, text in enumerate(texts))]
    with pytest.raises(DataError, match=r"column 'a': the value is '.*', in a column of .*data.categorical = \[\"a"):
        fit(*lines)
    assert fit(*lines, categorical=("a",))[0].width == len(set(texts))


@pytest.mark.parametrize(
    "texts",
    [
        "1st 2nd 3rd",
        "Q1 Q2",
        "A4 A5",
        "4WD 2WD",
        "18-24 25-34 65+ <18",
        "C85 B12",
        "1.2.3 10.0.1",
        "<=50K >50K",
        "3D 5G",
    ],
)
def test_codes_ranks_and_ranges_are_categories(fit, texts):
    assert fit("a,y", *(f"{text},0" for text in texts.split()))[0].width == len(texts.split())


def test_codes_of_letters_and_digits_are_categories(fit):
    assert fit("a,y", "A1,0", "3rd,1", "7,1")[0].width == 3
    assert fit("a,y", "1,0", "2,1", "-,1", categorical=("a",))[0].width == 3


def test_free_text_is_refused_unless_it_is_named(fit):
    lines = ["t,y", *(f"name {number},0" for number in range(101))]
    with pytest.raises(DataError, match=r"holds 101 different texts, such as 'name 0', .*data.categorical = \[\"t"):
        fit(*lines)
    assert fit(*lines, categorical=("t",))[0].width == 101


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a", "1"], r"other.csv has no column t, which the training data had; it has a"),
        (["a,t", "1,x", "many,x"], r"line 3, column 'a': the value is 'many'; expected a number"),
        (["a,t", "1,x", " 2,x", " ,x"], r"line 4, column 'a': the value is missing"),
        (["a,t", "1,x", "NA ,x"], r"line 3, column 'a': the value is missing"),
        (["a,t", "1,x", "1_000,x"], r"line 3, column 'a': the value is '1_000'; expected a number"),
        (["a,t", ",x"], r"line 2, column 'a': the value is missing"),
        (["a,t", "2020-01-01,x"], r"other.csv, column 'a' holds dates \(date32\[day\]\); expected numbers, as in"),
    ],
)
def test_other_data_that_do_not_fit_the_schema(fit, tmp_path, lines, message):
    schema, _ = fit("a,t,y", "1,x,0", "2,z,1")
    with pytest.raises(DataError, match=message):
        apply(schema, tmp_path, *lines)


def test_a_checkpoint_gives_the_same_schema_back(fit):
    schema, _ = fit("a,t,y", "1,x,u", ",z,v", missing="indicator")
    assert recorded_schema(schema.record(), schema.width) == schema
    assert recorded_schema(None, 7) is None


@pytest.mark.parametrize(
    "change",
    [
        {"target": 3},
        {"id": 3},
        {"target_is_text": 1},
        {"features": None},
        {"features": [{"name": "a"}]},
        {"features": [["a", None, None, False]]},
        *(
            {"features": [{"name": "a", "categories": None, "fill": None, "indicator": False, **one}]}
            for one in (
                {"name": 1},
                {"categories": []},
                {"categories": ["b", "a"]},
                {"categories": [1]},
                {"fill": "0"},
                {"fill": NAN},
                {"indicator": None},
                {"more": 1},
                {"categories": ["a", "b"]},
            )
        ),
    ],
)
def test_what_cannot_be_the_schema_of_a_network_is_refused(change):
    one = {"name": "a", "categories": None, "fill": None, "indicator": False}
    good = {"target": "y", "target_is_text": False, "features": [one]}
    assert recorded_schema(good, 1) == Schema("y", False, (Feature("a"),))
    with pytest.raises(ValueError, match="of the table"):
        recorded_schema({**good, **change}, 1)
    for other in ([], "x", {}):
        with pytest.raises(ValueError, match="of the table"):
            recorded_schema(other, 1)
