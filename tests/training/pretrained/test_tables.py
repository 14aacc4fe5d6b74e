"""Tables: the columns become what they became for the network that a training begins with, found by their names."""

import numpy as np
import pytest
from helpers.jobs import train
from safetensors.numpy import load_file

from dpnet.comm.local import LocalGroup
from dpnet.config.file import job_of
from dpnet.errors import CheckpointError, DataError
from dpnet.training.prepare import open_data
from dpnet.training.pretrained.find import find_pretrained

pytest.importorskip("pyarrow")

SETTINGS = {
    "model.hidden_layers": [4],
    "data.target": "kind",
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1e-30,
    "train.epochs": None,
    "train.steps": 1,
}
ROWS = [(31, "red", 2.5, "a"), (47, "blue", 0.5, "b"), (19, "blue", 1.5, "a"), (5, "green", 3.0, "b")]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run on a table of age, colour and size."""
    path = tmp_path_factory.mktemp("base")
    source = csv(path / "base.csv", "age,colour,size,kind", ROWS)
    train(path / "run", {**SETTINGS, "data.source": source})
    return path / "run"


def csv(path, head, rows):
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows), ""]))
    return str(path)


def tune(path, base, source, **settings):
    named = {f"data.{key}": value for key, value in settings.items()}
    return train(path, {**SETTINGS, "data.source": source, "model.pretrained": str(base), **named})


def inputs(base, source, **settings):
    """What the rows of a table become."""
    given = {"data.source": source, "data.target": "kind", "model.pretrained": str(base), "model.hidden_layers": [4]}
    job = job_of({**given, **{f"data.{key}": value for key, value in settings.items()}})
    pretrained = find_pretrained(job, LocalGroup(), "auto")
    return open_data(job, LocalGroup(), schema=pretrained.schema).train


def test_columns_are_found_by_name_and_have_the_categories_that_they_had(base, tmp_path):
    rows = [("b", "blue", 2.0, 40), ("c", "pink", 1.0, 30), ("b", "red", 4.0, 20)]
    split = inputs(base, csv(tmp_path / "new.csv", "kind,colour,size,age", rows))
    # age, then blue, green and red, then size.
    assert np.array(split.inputs).tolist() == [[40, 1, 0, 0, 2], [30, 0, 0, 0, 1], [20, 0, 0, 1, 4]]
    assert split.classes.values.tolist() == ["b", "c"]
    assert any(
        "1 row with a text in column 'colour' that the training data do not have" in one for one in split.remarks
    )


def test_the_scaling_of_the_columns_is_that_of_the_network(base, tmp_path, capsys):
    rows = [("b", "blue", 2.0, 40), ("a", "red", 1.0, 30), ("b", "red", 4.0, 20)]
    source = csv(tmp_path / "new.csv", "kind,colour,size,age", rows)
    tune(tmp_path / "run", base, source)
    before, now = (load_file(path / "checkpoints/latest/scaling.safetensors") for path in (base, tmp_path / "run"))
    assert {name: array.tolist() for name, array in before.items()} == {n: a.tolist() for n, a in now.items()}
    # Without what it began with, it goes on all the same: the run knows the columns.
    assert tune(tmp_path / "run", base, source)["steps"] == 1


@pytest.mark.parametrize(
    ("head", "settings", "message"),
    [
        (
            "age,colour,kind",
            {},
            r"has the inputs age, colour, size; this table has age, colour\. No input here is 'size'",
        ),
        ("age,colour,width,kind", {}, r"this table has age, colour, width\. No input here is 'size': columns"),
        (
            "age,colour,size,more,kind",
            {},
            r'this table has age, colour, more, size\. To leave the others out: data\.ignore = \["more"\]\.',
        ),
        ("age,colour,size,kind", {"ignore": ["age"]}, r"this table has colour, size\. No input here is 'age': columns"),
    ],
)
def test_other_columns_are_refused_with_those_of_the_network(base, tmp_path, head, settings, message):
    rows = [row[: head.count(",")] + row[-1:] if head.count(",") < 4 else (*row[:3], 7, row[3]) for row in ROWS]
    with pytest.raises(DataError, match=message):
        inputs(base, csv(tmp_path / "new.csv", head, rows), **settings)


def test_columns_that_were_left_out_are_those_of_the_network_again(base, tmp_path):
    source = csv(tmp_path / "new.csv", "age,colour,size,more,kind", [(*row[:3], 7, row[3]) for row in ROWS])
    assert inputs(base, source, ignore=["more"]).features == 5


def test_a_column_of_other_texts_alone_is_refused(base, tmp_path):
    with pytest.raises(DataError, match=r"column 'colour': .* none is a category of the training data"):
        inputs(base, csv(tmp_path / "new.csv", "age,colour,size,kind", [(1, "RED", 2, "a"), (2, "Blue", 3, "b")]))


def test_missing_values_are_filled_in_as_the_job_says(base, tmp_path):
    source = csv(
        tmp_path / "new.csv", "age,colour,size,kind", [("", "red", 1, "a"), (4, "", 2, "b"), (8, "blue", 3, "b")]
    )
    with pytest.raises(DataError, match=r"column 'age': the value is missing"):
        inputs(base, source)
    rows = np.array(inputs(base, source, missing="mean").inputs)
    assert rows.tolist() == [[6, 0, 0, 1, 1], [4, 0, 0, 0, 2], [8, 1, 0, 0, 3]]
    assert np.array(inputs(base, source, missing="zero").inputs)[0, 0] == 0
    with pytest.raises(DataError, match=r"has no input that says where; expected data\.missing = \"mean\" or \"zero\""):
        inputs(base, source, missing="indicator")


def test_other_fillings_than_those_of_the_network_are_refused(tmp_path):
    rows = [("", "red", 1, "a"), (4, "blue", 2, "b"), (8, "blue", 3, "b")]
    source = csv(tmp_path / "gaps.csv", "age,colour,size,kind", rows)
    train(tmp_path / "base", {**SETTINGS, "data.source": source, "data.missing": "mean"})
    whole = csv(tmp_path / "whole.csv", "age,colour,size,kind", ROWS)
    with pytest.raises(CheckpointError, match=r'data\.missing is "zero", there it is "mean"\n.*\n    --set .*"mean"'):
        tune(tmp_path / "zero", tmp_path / "base", whole, missing="zero")
    with pytest.raises(DataError, match=r"column 'age': the value is missing"):  # Also in other data of the training.
        tune(tmp_path / "none", tmp_path / "base", whole, test=source)
    test = csv(tmp_path / "test.csv", "age,colour,size,kind", rows)
    tune(tmp_path / "mean", tmp_path / "base", whole, missing="mean", test=test)
    assert np.array(inputs(tmp_path / "base", source, missing="mean").inputs)[0, 0] == 6


def test_another_target_column_of_numbers_starts_the_last_layer_anew(tmp_path, capsys):
    task = {"model.task": "regression"}
    first = csv(tmp_path / "first.csv", "x,price", [(1, 2.5), (2, 4.5), (3, 7.0)])
    other = csv(tmp_path / "other.csv", "x,weight", [(1, 20), (2, 40), (3, 50)])
    train(tmp_path / "base", {**SETTINGS, **task, "data.source": first, "data.target": "price"})
    settings = {**SETTINGS, **task, "data.source": other, "data.target": "weight", "output.progress": "plain"}
    train(tmp_path / "run", {**settings, "model.pretrained": str(tmp_path / "base")})
    assert "starts anew: its target was price, here it is weight\n" in capsys.readouterr().out


def test_arrays_for_a_table_and_the_reverse_are_taken_in_order_and_told(tmp_path, capsys):
    table = csv(tmp_path / "t.csv", "wide,high,kind", [(1, 2, 0), (3, 5, 1), (2, 2, 1)])
    np.savez(tmp_path / "a.npz", x_train=np.array([[1, 2], [3, 5.0]]), y_train=[0, 1])
    arrays = {**SETTINGS, "data.source": str(tmp_path / "a.npz"), "data.target": None, "output.progress": "plain"}
    rows = {**SETTINGS, "data.source": table, "output.progress": "plain"}
    train(tmp_path / "of arrays", arrays)
    train(tmp_path / "of a table", {**rows, "model.pretrained": str(tmp_path / "of arrays")})
    assert f"those of {table} are taken for its inputs in this order: wide, high\n" in capsys.readouterr().out
    train(tmp_path / "again", {**arrays, "model.pretrained": str(tmp_path / "of a table")})
    assert "its inputs were the columns wide, high: the features of" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match=r"t\.csv has 1 feature a sample, there the network takes 2"):
        train(tmp_path / "none", {**rows, "data.ignore": ["high"], "model.pretrained": str(tmp_path / "of arrays")})


def test_codes_that_were_categories_are_read_as_text_again(tmp_path):
    rows = [("01", 1, "a"), ("1", 2, "b"), ("7", 3, "a")]
    source = csv(tmp_path / "codes.csv", "code,size,kind", rows)
    train(tmp_path / "base", {**SETTINGS, "data.source": source, "data.categorical": ["code"]})
    split = inputs(tmp_path / "base", csv(tmp_path / "new.csv", "size,code,kind", [(4, "1", "a"), (5, "01", "b")]))
    assert np.array(split.inputs).tolist() == [[0, 1, 0, 4], [1, 0, 0, 5]]


def test_a_number_of_the_network_is_no_category(base, tmp_path):
    with pytest.raises(DataError, match=r"data\.categorical has 'age', which is a number for the pretrained network"):
        inputs(base, csv(tmp_path / "new.csv", "age,colour,size,kind", ROWS), categorical=["age"])


def test_the_same_labels_in_another_column_are_told(base, tmp_path, capsys):
    source = csv(tmp_path / "new.csv", "age,colour,size,sort", ROWS)
    settings = {**SETTINGS, "data.source": source, "data.target": "sort", "output.progress": "plain"}
    train(tmp_path / "run", {**settings, "model.pretrained": str(base)})
    told = "note: its target was kind, here it is sort; the last layer is kept, as the classes are the same\n"
    assert told in capsys.readouterr().out
