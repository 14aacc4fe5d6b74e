"""What stands for missing values, as it is kept: nothing is taken for it that dpnet does not write."""

import copy
import json

import numpy as np
import pytest

from dpnet.data.missing.fills import Fills, fills_of_schema, recorded_fills
from dpnet.data.tables.schema import Feature, Schema

FILLS = Fills(4, np.array([0.5, -1.25, 3.0, 1e-300]), (1, 3), (7, 2))


def again(record):
    return json.loads(json.dumps(record))


@pytest.mark.parametrize("fills", [FILLS, Fills(6, np.zeros(1)), Fills(5, None, (0,)), Fills(6, np.arange(6) / 7)])
def test_a_record_is_read_as_it_was_written(fills):
    found = recorded_fills(again(fills.record()), 6)
    assert found.record() == fills.record()
    assert found.same(fills)
    assert recorded_fills(None, 6) is None


def test_indicators_follow_their_features():
    assert FILLS.width == 6
    assert FILLS.places.tolist() == [0, 1, 3, 4]
    assert FILLS.names() == ["0", "1", "1 is missing", "2", "3", "3 is missing"]
    assert FILLS.text() == "7 training values filled in, in 2 of 4 features; 2 more inputs say where"
    assert Fills(1, np.zeros(1), (0,), (1, 1)).text() == (
        "1 training value filled in, in 1 of 1 feature; 1 more input says where"
    )


def test_what_was_missing_in_training_does_not_make_other_inputs():
    assert FILLS.same(Fills(4, FILLS.values, (1, 3), (0, 0)))
    assert not FILLS.same(None)
    assert Fills(2, np.zeros(2)).same(Fills(2, np.zeros(1)))
    assert not Fills(2, np.zeros(2)).same(Fills(2, None))
    assert Fills(2, None, (1,)).same(Fills(2, None, (1,)))
    assert not FILLS.same(Fills(4, FILLS.values, (1,)))
    assert not FILLS.same(Fills(4, np.nextafter(FILLS.values, 9), (1, 3)))


WRONG = {
    "features": [3, 4.0, True, None, 0, 2**70],
    "values": [[0.5] * 3, [], 0.5, "0.5", *([0.5, 1.0, 2.0, value] for value in ("3", 3, float("nan"), float("inf")))],
    "indicators": [[3, 1], [1, 1], [1, 4], [-1, 1], [1.0, 3.0], [1], None, {"1": 3}],
    "filled": [[1], [1, 2, 3], [1, -2], None, "12"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_another_record_is_refused(key, value):
    record = copy.deepcopy(FILLS.record())
    record[key] = value
    with pytest.raises(ValueError, match="missing values"):
        recorded_fills(record, 6)
    del record[key]
    with pytest.raises(ValueError, match="not as dpnet writes it"):
        recorded_fills(record, 6)


@pytest.mark.parametrize("record", [1, "x", [], {}, True, [FILLS.record()]])
def test_what_is_no_record_is_refused(record):
    with pytest.raises(ValueError, match="not as dpnet writes it"):
        recorded_fills(record, 6)


def test_a_record_of_another_network_is_refused():
    with pytest.raises(ValueError, match=r"4 features and 2 indicators of missing values .* the network has 7 inputs"):
        recorded_fills(FILLS.record(), 7)


def test_columns_that_come_as_arrays_have_what_stands_for_their_missing_values():
    columns = Feature("a", None, 0.5, indicator=True), Feature("b", None, 2.0)
    assert fills_of_schema(Schema("y", False, columns)).record() == {
        "features": 2, "values": [0.5, 2.0], "indicators": [0], "filled": [0, 0],
    }  # fmt: skip
    assert fills_of_schema(Schema("y", False, (*columns, Feature("c", ("red",), 0.0)))) is None
    assert fills_of_schema(Schema("y", False, (Feature("a"), Feature("b")))) is None
    assert fills_of_schema(Schema("y", False, (Feature("a", None, None, indicator=True),))).values is None
    assert fills_of_schema(None) is None
