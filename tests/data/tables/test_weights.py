"""A column of a table is the weights of its rows, as an array beside the labels is."""

import numpy as np
import pytest
from helpers.jobs import train

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.data.sources import open_source, open_split
from dpnet.data.tables.schema import recorded_schema
from dpnet.errors import DataError

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")

SETTINGS = {"model.hidden_layers": [4], "train.epochs": 2, "train.global_batch_size": 8}
GENERATOR = np.random.default_rng(3)
X, KINDS = GENERATOR.standard_normal((20, 2)), np.array(["a", "b"])[np.arange(20) % 2]
WEIGHTS = GENERATOR.integers(0, 4, 20) / 2


def saved(path, rows=slice(None), **more):
    table = {"u": X[rows, 0], "times": WEIGHTS[rows], "v": X[rows, 1], "kind": KINDS[rows], **more}
    csv.write_csv(pa.table({name: column for name, column in table.items() if column is not None}), str(path))
    return str(path)


def section(path, **more):
    return DataConfig(source=path, target="kind", weight="times", **more)


def refused(path, **more):
    with pytest.raises(DataError) as caught:
        open_source(path, section(path, **more))
    return str(caught.value).replace(path, "t.csv")


def test_a_column_of_weights_gives_the_bits_of_an_array_of_weights(tmp_path):
    saved(tmp_path / "train.csv")
    saved(tmp_path / "test.csv", slice(11))
    arrays = {"x_train": X, "y_train": KINDS, "w_train": WEIGHTS}
    tests = {"x_test": X[:11], "y_test": KINDS[:11], "w_test": WEIGHTS[:11]}
    np.savez(tmp_path / "d.npz", **arrays, **tests)
    keys = {"data.target": "kind", "data.weight": "times", "data.test": str(tmp_path / "test.csv")}
    runs = [
        train(tmp_path / "a", {**SETTINGS, "data.source": str(tmp_path / "train.csv"), **keys}),
        train(tmp_path / "b", {**SETTINGS, "data.source": str(tmp_path / "d.npz")}),
        train(tmp_path / "c", {**SETTINGS, "data.source": str(tmp_path / "train.csv"), **keys, "data.weight": None}),
    ]
    digests = [checkpoint.digest(checkpoint.read(tmp_path / name / "checkpoints/latest").model) for name in "ab"]
    assert digests[0] == digests[1]
    assert runs[0]["eval_loss"] == runs[1]["eval_loss"] != runs[2]["eval_loss"]
    network = dpnet.load_network(str(tmp_path / "a"), LocalGroup())
    scores = dpnet.evaluate(network, str(tmp_path / "test.csv"), LocalGroup())
    assert scores.loss == runs[0]["eval_loss"]


def test_the_column_is_no_input_and_is_told(tmp_path):
    path = saved(tmp_path / "t.csv")
    source = open_source(path, section(path, test=0.25))
    assert [feature.name for feature in source.schema.features] == ["u", "v"]
    assert len(source.train.weights) == len(source.train) < 20
    together = np.concatenate([source.train.weights, source.test.weights])
    assert sorted(together) == sorted(WEIGHTS)
    assert any("column 'times': every sample has a weight" in remark for remark in source.train.remarks)


def test_another_table_is_weighed_by_the_same_column(tmp_path):
    path = saved(tmp_path / "t.csv")
    schema = open_source(path, section(path)).schema
    assert recorded_schema(schema.record(), schema.width) == schema
    assert open_split(saved(tmp_path / "new.csv", slice(5)), schema=schema).weights.tolist() == WEIGHTS[:5].tolist()
    without = open_split(saved(tmp_path / "old.csv", times=None), schema=schema)
    assert without.weights is None
    assert without.remarks[-1].endswith("old.csv has no column 'times' (data.weight): every row counts as 1")
    broken = saved(tmp_path / "unlabelled.csv", times=pa.array(["?"] * 20))
    assert open_split(broken, schema=schema, labelled=False).weights is None  # Predictions do not need them.


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            WEIGHTS - 1.5,
            "t.csv, line 3, column 'times': the weight is -0.5; expected 0, or a number from 1e-250 to 1e+30",
        ),
        (
            np.where(np.arange(20) == 2, np.nan, 1),
            "t.csv, line 4, column 'times' (data.weight): the weight is missing, as in 1 row of 20; with 0",
        ),
        (np.zeros(20), "t.csv, column 'times': all weights are 0"),
        (KINDS, "t.csv, column 'times' (data.weight) holds text (string); expected a number for each row"),
    ],
    ids=["negative", "missing", "nothing", "text"],
)
def test_what_cannot_be_weights_is_refused_by_line(tmp_path, values, message):
    values = pa.array(values, from_pandas=True) if values.dtype.kind == "f" else values
    seen = refused(saved(tmp_path / "t.csv", times=values))
    assert message in seen


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weight": "time"}, "t.csv has no column 'time' (data.weight); did you mean 'times'?"),
        ({"weight": "kind"}, "data.weight and data.target are both 'kind'; a column is one of the two"),
        ({"id": "times"}, "data.weight and data.id are both 'times'"),
        ({"features": ("times", "u")}, "data.features has 'times', which is the weight of the rows (data.weight)"),
    ],
    ids=str,
)
def test_a_column_is_one_thing(tmp_path, more, message):
    path = saved(tmp_path / "t.csv")
    with pytest.raises(DataError) as caught:
        open_source(path, DataConfig(**{"source": path, "target": "kind", "weight": "times", **more}))
    assert message in str(caught.value).replace(path, "t.csv")


def test_arrays_have_weights_of_their_own_in_its_place(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=KINDS)
    with pytest.raises(DataError, match=r"data\.weight is times, a column of a table, and .*d\.npz has no weights"):
        open_source(str(tmp_path / "d.npz"), DataConfig(weight="times"))
    np.savez(tmp_path / "d.npz", x_train=X, y_train=KINDS, w_train=np.arange(len(X)))
    found = open_source(str(tmp_path / "d.npz"), DataConfig(weight="times")).train
    assert found.weights.tolist() == list(range(len(X)))
    assert any("data.weight ('times') means a column of a table" in remark for remark in found.remarks)
