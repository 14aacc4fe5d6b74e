"""Anything that a program may give in place of data gives samples or an error of dpnet."""

from __future__ import annotations

import datetime
import decimal
import importlib
import importlib.util

import numpy as np
import pytest
from helpers.fuzzing import examples, only_dpnet_errors
from helpers.jobs import make_job
from hypothesis import given
from hypothesis import strategies as st

import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.config.data import MEMORY, DataConfig
from dpnet.config.job import Job
from dpnet.config.model import ModelConfig
from dpnet.data.memory.given import in_memory
from dpnet.data.sources import open_source
from dpnet.data.too_many_classes import check_classes
from dpnet.errors import DpnetError
from dpnet.inference.evaluate import evaluate
from dpnet.inference.network import load_network
from dpnet.inference.predict import predict
from dpnet.training.prepare import identify, open_data

GROUP = LocalGroup()
TASKS = st.sampled_from(["classification", "regression", "multilabel"])


def use(data, task, networks=(), **keys):
    """Open data as a training does, and give them to networks that were trained on others."""
    with only_dpnet_errors(DpnetError):
        job = Job(data=DataConfig(source=MEMORY, **keys), model=ModelConfig(task=task))
        memory = in_memory(data)
        check_classes(open_source(MEMORY, job.data, task=task, memory=memory))
        identify(job.data, open_data(job, GROUP, memory), GROUP, measure=True)
    for network in networks:
        with only_dpnet_errors(DpnetError):
            evaluate(network, data, GROUP)
        with only_dpnet_errors(DpnetError):
            predict(network, data, None, GROUP, nonfinite="skip")


DTYPES = ["?", "u1", ">i4", "i8", "u8", "f2", "<f4", ">f8", "g", "c8", "S3", "U2", "V4", "O", "M8[D]", "m8[s]", "i4,f8"]
SHAPES = st.sampled_from(
    [(), (0,), (4,), (1,), (4, 3), (4, 1), (0, 3), (4, 0), (4, 3, 1), (2, 3), (4, 3, 0), (1, 1, 1, 3)]
)
OBJECTS = [
    None,
    1,
    2.5,
    "x",
    "",
    b"y",
    float("nan"),
    float("inf"),
    10**400,
    decimal.Decimal("1.5"),
    [1],
    [],
    (),
    {},
    1j,
]
OBJECTS += [datetime.date(2020, 1, 1), np.float32(2), np.array([1, 2]), True, "\ud800", "\0", object, Ellipsis]


@st.composite
def arrays(draw):
    """An array of any type, shape and order; or what a program may take for one."""
    dtype, shape = np.dtype(draw(st.sampled_from(DTYPES))), draw(SHAPES)
    if dtype.kind == "O":
        array = np.empty(shape, object)
        for place in np.ndindex(shape):
            array[place] = draw(st.sampled_from(OBJECTS))
    else:
        size = int(np.prod(shape))
        with np.errstate(all="ignore"):
            numbers = np.array(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)), np.int64)
            array = (np.zeros(size, dtype) if dtype.kind == "V" else numbers.astype(dtype)).reshape(shape)
        if dtype.kind == "f" and size and draw(st.booleans()):
            array.flat[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    kind = draw(
        st.sampled_from(["plain", "plain", "columns", "backward", "strided", "masked", "list", "record", "memory"])
    )
    if kind == "columns":
        return np.asfortranarray(array)
    if kind == "backward" and array.ndim:
        return array[::-1]
    if kind == "strided" and array.ndim:
        return np.repeat(array, 2, axis=0)[::2]
    if kind == "masked":
        return np.ma.masked_array(array, mask=draw(st.booleans()))
    if kind == "record":
        return array.view(np.recarray)
    if kind == "memory" and dtype.kind in "iu" and dtype.isnative:
        return memoryview(array)
    return array.tolist() if kind == "list" else array


ANY = arrays() | st.sampled_from(
    [*OBJECTS, range(4), iter([1, 2]), {1, 2}, "a.npz", MEMORY, np.int64(3), [[1, 2], [3]]]
)
NAMES = [
    "x",
    "y",
    "w",
    "x_train",
    "y_train",
    "w_train",
    "x_test",
    "y_test",
    "x_val",
    "y_validation",
    "train",
    "z",
    3,
    None,
]


@pytest.fixture(scope="module")
def of_arrays(tmp_path_factory):
    settings = {"train.epochs": None, "train.steps": 1, "train.global_batch_size": 2, "model.hidden_layers": [3]}
    path = tmp_path_factory.mktemp("memory") / "run"
    dpnet.train(make_job(path, settings), GROUP, data=(np.eye(4, 3), np.arange(4) % 2))
    return load_network(str(path), GROUP)


@examples(150)
@given(ANY, ANY, st.none() | ANY, TASKS)
def test_any_arrays(of_arrays, x, y, w, task):
    use((x, y) if w is None else (x, y, w), task, [of_arrays])


@examples(100)
@given(st.dictionaries(st.sampled_from(NAMES), ANY, max_size=5), TASKS)
def test_any_dictionary_of_arrays(of_arrays, data, task):
    use(data, task, [of_arrays])


@examples(60)
@given(ANY | st.lists(ANY, max_size=4).map(tuple), TASKS)
def test_anything(of_arrays, data, task):
    use(data, task, [of_arrays])


pandas = importlib.import_module("pandas") if importlib.util.find_spec("pandas") else None
pyarrow = importlib.import_module("pyarrow") if importlib.util.find_spec("pyarrow") else None
frames = pytest.mark.skipif(pandas is None or pyarrow is None, reason="pandas or pyarrow is not installed")
COLUMNS = [
    [1, 2, 3, 4],
    [0.5, None, float("nan"), 2],
    [float("inf"), 1, 2, 3],
    ["a", "b", "a", "b"],
    ["a", None, "", "1"],
    [True, False, True, None],
    [True, False, True, False],
    [[1, 2], [3], [], None],
    [{"a": 1}, {"a": 2}, None, {}],
    [decimal.Decimal("1.5"), decimal.Decimal(2), None, decimal.Decimal("NaN")],
    [decimal.Decimal("1.5")] * 4,
    [datetime.date(2020, 1, day) for day in range(1, 5)],
    [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)] * 4,
    [datetime.timedelta(days=1)] * 4,
    [b"a", b"\xff", b"", None],
    [None] * 4,
    [1, "a", 2.5, None],
    [2**63, 1, 2, 3],
    [10**30, 1, 2, 3],
    [1j, 2, 3, 4],
    ["\ud800", "a", "b", "c"],
    [object, 1, 2, 3],
    ["train", "validation", "test", "train"],
]
LABELS = st.sampled_from(
    ["a", "b", "kind", "weight", "target", "", " ", 0, 1, None, ("a", 1), 2.5, float("nan"), True, "\ud800"]
)


def _column(values, kind):
    """Values as a column of pandas, of some type."""
    column = pandas.Series(values, dtype=object)
    if kind == "category":
        return column.map(str).astype("category")
    if kind == "guessed":
        return pandas.Series(values)
    if kind == "sparse":
        return pandas.arrays.SparseArray([0.0, 1, 0, float("nan")])
    if kind == "period":
        return pandas.period_range("2020", periods=4, freq="D").to_series(index=range(4))
    if kind == "interval":
        return pandas.Series(pandas.interval_range(0, 4))
    return column.convert_dtypes() if kind == "converted" else column


@st.composite
def data_frames(draw):
    """A data frame of pandas with odd columns, names and index; or a table of Arrow."""
    names = draw(st.lists(LABELS, min_size=0, max_size=4))
    kinds = st.sampled_from(["object", "object", "guessed", "category", "converted", "sparse", "period", "interval"])
    try:
        columns = [_column(draw(st.sampled_from(COLUMNS)), draw(kinds)) for _ in names]
        frame = pandas.concat([pandas.Series(one) for one in columns], axis=1) if columns else pandas.DataFrame()
        frame.columns = pandas.Index(names, dtype=object)
    except Exception:  # pandas has no such column.
        frame = pandas.DataFrame({"a": [1, 2, 3, 4]})
    kind = draw(
        st.sampled_from(["plain", "plain", "plain", "index", "levels", "none", "one", "arrow", "series", "chunks"])
    )
    if kind == "index":
        frame.index = pandas.Index(["a", "a", None, 2.5][: len(frame)], dtype=object)
    if kind == "levels" and len(frame.columns) == len(names) > 1:
        frame.columns = pandas.MultiIndex.from_tuples([(ascii(name), number) for number, name in enumerate(names)])
    if kind in ("none", "one"):
        return frame.iloc[: int(kind == "one")]
    if kind == "series":
        return frame.iloc[:, 0] if len(names) else frame
    if kind in ("arrow", "chunks"):
        try:
            table = pyarrow.Table.from_pandas(frame)
        except Exception:  # Arrow has no such column.
            return frame
        return pyarrow.concat_tables([table.slice(0, 1), table.slice(1)]) if kind == "chunks" else table
    return frame


KEYS = st.sampled_from(
    [
        {},
        {"target": "kind"},
        {"target": -1, "missing": "mean"},
        {"target": 0, "missing": "indicator", "categorical": ("*",)},
        {"target": ("a", "b")},
        {"target": "kind", "split": "target"},
        {"target": "kind", "id": "a", "weight": "weight"},
        {"target": 0, "test": 0.5, "validation": 0.5},
    ]
)


@pytest.fixture(scope="module")
def of_frame(tmp_path_factory):
    settings = {"train.epochs": None, "train.steps": 1, "train.global_batch_size": 2, "model.hidden_layers": [3]}
    settings |= {"data.target": "kind", "data.missing": "indicator"}
    path = tmp_path_factory.mktemp("frames") / "run"
    frame = pandas.DataFrame({"a": [1, None, 3, 4], "b": ["x", "y", "x", None], "kind": ["u", "v", "u", "v"]})
    dpnet.train(make_job(path, settings), GROUP, data=frame)
    return load_network(str(path), GROUP)


@frames
@examples(200)
@given(data_frames(), TASKS, KEYS)
def test_any_data_frame(of_frame, of_arrays, frame, task, keys):
    use(frame, task, [of_frame, of_arrays], **keys)


@frames
@examples(120)
@given(data_frames(), data_frames() | ANY, st.none() | ANY, TASKS, KEYS)
def test_any_data_frame_with_labels_beside_it(of_frame, frame, y, w, task, keys):
    use((frame, y) if w is None else (frame, y, w), task, [of_frame], **keys)


@frames
@examples(60)
@given(st.dictionaries(st.sampled_from(NAMES), data_frames() | ANY, max_size=4), TASKS, KEYS)
def test_any_dictionary_of_data_frames(of_frame, data, task, keys):
    use(data, task, [of_frame], **keys)
