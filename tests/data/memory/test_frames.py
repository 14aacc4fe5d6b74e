"""Data frames of every kind are read as a table in a file is."""

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.memory.given import in_memory
from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")

ROWS = 40
RANDOM = np.random.default_rng(1)
COLUMNS = {
    "a": RANDOM.standard_normal(ROWS),
    "n": np.arange(ROWS) % 7,
    "colour": np.array(["red", "blue", "green"])[np.arange(ROWS) % 3],
    "yes": np.arange(ROWS) % 2 == 0,
    "kind": np.array(["x", "y"])[np.arange(ROWS) // 2 % 2],
}


def opened(data, task="classification", **section):
    targets = section.get("target", "target")
    memory = in_memory(data, [targets] if isinstance(targets, str) else targets, section.get("weight", "weight"))
    return open_source("<memory>", DataConfig(**{"target": "kind", **section}), task=task, memory=memory)


class Speaking:
    """A data frame that has nothing but a protocol of data frames."""

    def __init__(self, table, protocol):
        self.columns = table.column_names
        setattr(type(self), protocol, lambda self, *given, **more: getattr(table, protocol)(*given, **more))


def of_pandas():
    return pytest.importorskip("pandas").DataFrame(COLUMNS)


KINDS = {
    "arrow": lambda: pa.table(COLUMNS),
    "a batch": lambda: pa.RecordBatch.from_pydict({name: pa.array(values) for name, values in COLUMNS.items()}),
    "chunks": lambda: pa.concat_tables([pa.table(COLUMNS).slice(0, 7), pa.table(COLUMNS).slice(7)]),
    "a stream": lambda: Speaking(pa.table(COLUMNS), "__arrow_c_stream__"),
    "interchange": lambda: type("Other", (Speaking,), {})(pa.table(COLUMNS), "__dataframe__"),
    "dictionaries": lambda: pa.table(
        {**COLUMNS, "colour": pa.array(COLUMNS["colour"]).dictionary_encode(), "kind": pa.array(COLUMNS["kind"])}
    ),
    "pandas": of_pandas,
    "pandas with an index": lambda: of_pandas().set_index(np.arange(ROWS)[::-1]),
    "pandas with categories": lambda: of_pandas().astype({"colour": "category", "kind": "category"}),
    "pandas with objects": lambda: of_pandas().astype({"colour": object, "kind": object, "n": object}),
    "pandas that can have gaps": lambda: of_pandas().convert_dtypes(),
    "polars": lambda: pytest.importorskip("polars").DataFrame(COLUMNS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_frame_gives_the_samples_of_a_file(tmp_path, kind):
    csv.write_csv(pa.table(COLUMNS), str(tmp_path / "t.csv"))
    settings = {"test": 0.2, "validation": 0.1}
    expected = open_source(str(tmp_path / "t.csv"), DataConfig(target="kind", **settings))
    found = opened(KINDS[kind](), **settings)
    assert list(found.splits) == ["train", "validation", "test"]
    for name, split in found.splits.items():
        assert split.inputs.tolist() == expected.splits[name].inputs.tolist()
        assert split.labels.tolist() == expected.splits[name].labels.tolist()
    assert found.schema.record() == expected.schema.record()
    assert found.train.classes == expected.train.classes


def test_labels_and_weights_may_stand_beside_the_data_frame():
    inputs = pa.table({name: values for name, values in COLUMNS.items() if name != "kind"})
    weights = np.arange(ROWS) + 1
    whole = opened(pa.table({**COLUMNS, "weight": weights}), weight="weight")
    for labels in (
        COLUMNS["kind"],
        COLUMNS["kind"].tolist(),
        COLUMNS["kind"].astype(object),
        pa.array(COLUMNS["kind"]),
    ):
        found = opened((inputs, labels, weights), target="kind", weight="weight")
        assert found.train.inputs.tolist() == whole.train.inputs.tolist()
        assert found.train.labels.tolist() == whole.train.labels.tolist()
        assert found.train.weights.tolist() == weights.tolist()


def test_a_dictionary_holds_a_data_frame_for_each_part():
    table = pa.table(COLUMNS)
    found = opened({"train": table.slice(0, 20), "test": table.slice(20), "val": table.slice(30)})
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 20, "validation": 10, "test": 20}
    memory = in_memory({"train": table.slice(0, 20), "test": table.slice(20)})
    assert len(open_split(memory, "test", found.schema)) == 20
    with pytest.raises(DataError, match=r"^the data have no validation samples, only train and test samples"):
        open_split(memory, "validation", found.schema)
    with pytest.raises(DataError, match=r"^data\.test is 0\.2, and a data frame was given for it; leave one"):
        opened({"train": table, "test": table}, test=0.2)
    with pytest.raises(DataError, match="two of one kind"):
        opened({"train": table, "val": table, "valid": table})
    with pytest.raises(DataError, match=r"^the data have no train samples, only test and validation samples"):
        opened({"test": table, "val": table})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": None}, r"^the data frame has no column 'kind' \(data\.target\)"),
        ({"d": np.arange(ROWS).astype("M8[D]")}, r"^the data frame, column 'd' holds dates.*data\.ignore = \[\"d\"\]"),
        (
            {"a": np.where(COLUMNS["n"] == 3, np.nan, 1.0)},
            r"row 3 \(from 0\), column 'a': the value is missing.*rows? of",
        ),
        (
            {"a": np.where(COLUMNS["n"] == 3, np.inf, 1.0)},
            r"^the data frame, row 3 \(from 0\), column 'a': the value is inf",
        ),
        ({"l": [[1, 2]] * ROWS}, r"^the data frame, column 'l' holds (list|large_list)"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused_by_name(change, message):
    columns = {name: values for name, values in {**COLUMNS, **change}.items() if values is not None}
    with pytest.raises(DataError, match=message):
        opened(pa.table(columns))


def test_missing_values_of_every_kind_are_filled_in():
    pandas = pytest.importorskip("pandas")
    frame = of_pandas()
    frame["a"] = frame["a"].astype(object)
    frame["n"] = frame["n"].astype("Int64")
    frame.loc[3, ["a", "n", "colour"]] = [None, pandas.NA, np.nan]
    found = opened(frame, missing="indicator")
    assert found.schema.width == 2 + 2 + 3 + 1 + 1
    assert found.train.inputs[3, [1, 3]].tolist() == [1, 1]


def test_objects_of_several_kinds_in_a_column_are_refused():
    frame = of_pandas().astype({"colour": object})
    frame.loc[5, "colour"] = 3
    with pytest.raises(DataError, match=r"^the data frame cannot be (used|read): .*colour"):
        opened(frame)


def test_half_floats_are_numbers():
    found = opened(pa.table({**COLUMNS, "a": COLUMNS["a"].astype("f2")}))
    assert found.train.inputs[:, 0].tolist() == COLUMNS["a"].astype("f2").astype("f8").tolist()


def test_a_lazy_frame_is_to_be_collected():
    lazy = pytest.importorskip("polars").DataFrame(COLUMNS).lazy()
    with pytest.raises(DataError, match=r"^x in memory is of type LazyFrame; .* A lazy one: x\.collect\(\)\.$"):
        opened(lazy)


def test_two_columns_of_one_name_are_refused():
    pandas = pytest.importorskip("pandas")
    twice = pandas.concat([of_pandas(), of_pandas()[["a"]]], axis=1)
    with pytest.raises(DataError, match=r"^the data frame .*[Dd]uplicate|several columns of the same name"):
        opened(twice)
    with pytest.raises(DataError, match="several columns of the same name: a"):
        opened(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0]), pa.array(["x"])], names=["a", "a", "kind"]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (COLUMNS["kind"][:-1], r"^'target' in memory is of shape \(39,\), and the data frame has 40 rows"),
        (np.eye(2)[COLUMNS["n"] % 2], r"^'target' in memory is of shape \(40, 2\), and the data frame has 40 rows"),
    ],
)
def test_labels_beside_a_data_frame_are_one_for_each_row(labels, message):
    with pytest.raises(DataError, match=message):
        opened((pa.table({"a": COLUMNS["a"]}), labels), target="target")


def test_labels_beside_a_data_frame_that_has_such_a_column_are_refused():
    with pytest.raises(DataError, match=r"^the data frame has a column 'kind' itself, and was given with one apart"):
        opened((pa.table(COLUMNS), COLUMNS["kind"]), target="kind")


def test_several_columns_of_targets_stand_beside_a_data_frame():
    frame, numbers = pa.table({"a": COLUMNS["a"]}), np.stack([COLUMNS["a"], COLUMNS["n"]], axis=1)
    found = opened((frame, numbers), "regression", target=("t", "u"))
    assert found.train.labels.tolist() == numbers.tolist()
    assert found.schema.targets == ("t", "u")
    with pytest.raises(DataError, match=r"^'t' in memory is of shape \(40, 2\), .*; expected a value for each row"):
        opened((frame, numbers), "regression", target=("t",))


def test_inputs_that_are_data_frames_are_told_apart_by_the_names_of_their_columns():
    inputs, y = pa.table({"a": COLUMNS["a"], "n": COLUMNS["n"]}), COLUMNS["kind"]
    turned = inputs.select(["n", "a"])
    names = {"target": "target", "weight": "weight"}
    weights = {"w_train": COLUMNS["n"] + 1, "w_test": COLUMNS["n"] + 1}
    found = opened({"x_train": inputs, "y_train": y, "x_test": turned, "y_test": y, **weights}, **names)
    assert found.test.inputs.tolist() == found.train.inputs.tolist()
    assert found.train.weights.tolist() == (COLUMNS["n"] + 1.0).tolist()
    others = inputs.rename_columns(["a", "m"])
    with pytest.raises(DataError, match=r"^the data frame x_test has no column n, which the training data had"):
        opened({"x_train": inputs, "y_train": y, "x_test": others, "y_test": y}, target="target")
    with pytest.raises(DataError, match=r"^x_test is no data frame, and others of the inputs are"):
        opened({"x_train": inputs, "y_train": y, "x_test": np.zeros((40, 2)), "y_test": y}, target="target")
    assert opened({"x": inputs, "y": y}, target="target").train.inputs.tolist() == found.train.inputs.tolist()


def test_one_data_frame_with_a_name_is_no_other_one():
    table = pa.table(COLUMNS)
    for name in ("test", "validation"):
        with pytest.raises(DataError, match=rf"^the data have no train samples, only {name} samples"):
            opened({name: table})
    with pytest.raises(DataError, match=r"^the data have no validation samples, only test samples"):
        open_split(in_memory({"test": table}), "validation", opened(table).schema)


def test_labels_of_another_byte_order_stand_beside_a_data_frame_too():
    frame, numbers = pa.table({"a": COLUMNS["a"]}), (COLUMNS["n"] % 2).astype(">i4")
    assert opened((frame, numbers), target="y").train.labels.tolist() == (COLUMNS["n"] % 2).tolist()


def test_labels_that_are_a_data_frame_are_taken_by_the_names_of_their_columns():
    frame, labels = pa.table({"a": COLUMNS["a"]}), pa.table({"t": COLUMNS["a"], "u": COLUMNS["n"] * 1.0})
    expected = opened((frame, np.stack([COLUMNS["a"], COLUMNS["n"]], axis=1)), "regression", target=("t", "u"))
    for given in (labels, labels.select(["u", "t"])):
        found = opened((frame, given), "regression", target=("t", "u"))
        assert found.train.labels.tolist() == expected.train.labels.tolist()
    with pytest.raises(DataError, match=r"^'t' and 'v' in memory are a data frame with the columns t, u; expected t"):
        opened((frame, labels), "regression", target=("t", "v"))
    single = opened((frame, labels.select(["u"])), "regression", target="y").train.labels
    assert single[:, 0].tolist() == COLUMNS["n"].tolist()
    with pytest.raises(DataError, match=r"^y in memory is a data frame of 2 columns, and x in memory is none: their"):
        opened((np.zeros((ROWS, 1)), labels), "regression")
