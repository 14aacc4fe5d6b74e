"""Missing values are filled in in memory, or as rows are read; what was converted is what it was."""

import dataclasses

import numpy as np
import pytest

from dpnet.data.in_parts import InParts, reading_in_parts
from dpnet.data.missing import filled
from dpnet.data.missing.filled import FilledParts, apply_fills, filled_inputs
from dpnet.data.missing.fills import Fills
from dpnet.data.split import make_split
from dpnet.errors import DataError

NAN = np.nan
X = np.array([[1.0, NAN, 3.0], [NAN, NAN, 6.0], [7.0, 8.0, NAN]])
MARKED = Fills(3, np.array([10.0, 20.0, 30.0]), (1,))
FILLED = [[1, 20, 1, 3], [10, 20, 1, 6], [7, 8, 0, 30]]


def split_of(x=X, **more):
    return dataclasses.replace(make_split(np.array(x), None, "new.npz", ""), **more)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2"])
def test_a_copy_is_filled_in_and_has_the_type_of_the_inputs(dtype):
    raw = X.astype(dtype)
    found = filled_inputs(raw, MARKED, "x", "")
    assert (found.dtype, found.tolist()) == (np.dtype(dtype), FILLED)
    assert found.flags.c_contiguous
    assert raw.tobytes() == X.astype(dtype).tobytes()


@pytest.mark.parametrize("dtype", ["u1", "i8", "?"])
def test_what_has_nothing_missing_has_indicators_of_0(dtype):
    assert filled_inputs(np.ones((2, 3), dtype), MARKED, "x", "").tolist() == [[1, 1, 0, 1]] * 2


def test_a_single_number_may_stand_for_all():
    assert filled_inputs(X, Fills(3, np.zeros(1)), "x", "").tolist() == [[1, 0, 3], [0, 0, 6], [7, 8, 0]]


def test_all_rows_are_filled_in_whatever_is_copied_at_a_time(monkeypatch):
    x = np.random.default_rng(0).standard_normal((1000, 3))
    x[x > 1] = NAN
    monkeypatch.setattr(filled, "piece_rows", lambda features: 7)
    found = filled_inputs(x, MARKED, "x", "")
    monkeypatch.setattr(filled, "piece_rows", lambda features: 10_000)
    assert found.tobytes() == filled_inputs(x, MARKED, "x", "").tobytes()
    assert not np.isnan(found).any()


def test_where_inputs_are_read_in_parts_they_are_filled_in_as_they_are_read():
    class Counted(InParts):
        reads = 0

        def read(self, start, stop):
            Counted.reads += 1
            return X[start:stop]

    for inputs in (X, Counted(X.dtype, X.shape, 1)):
        with reading_in_parts():
            found = filled_inputs(inputs, MARKED, "x", "")
        assert Counted.reads == 0
        assert isinstance(found, FilledParts)
        assert (found.shape, found.dtype) == ((3, 4), X.dtype)
        split = split_of(inputs=found)
        assert split.block(1, 3).tolist() == FILLED[1:]
        assert split.part(np.array([0, 2])).block(0, 2).tolist() == [FILLED[0], FILLED[2]]


def test_a_copy_larger_than_memory_is_refused_with_what_helps(monkeypatch):
    monkeypatch.setattr("dpnet.data.readers.guards.memory", lambda: 95)
    with pytest.raises(
        DataError, match=r"^x: 3 samples of 4 inputs, with missing values filled in, take .*; convert it"
    ):
        filled_inputs(X, MARKED, "x", "convert it")
    monkeypatch.setattr("dpnet.data.readers.guards.memory", lambda: 96)
    assert filled_inputs(X, MARKED, "x", "convert it").tolist() == FILLED


def test_other_samples_are_filled_in_as_the_training_data_and_it_is_told():
    found = apply_fills(split_of(), MARKED)
    assert found.inputs.tolist() == FILLED
    assert found.remarks == ("new.npz: 4 missing values filled in as in the training, in 3 of 3 features",)
    assert found.fills is MARKED
    whole = split_of(np.ones((2, 3)))
    assert apply_fills(whole, MARKED).remarks == ()
    assert apply_fills(whole, Fills(3, MARKED.values)).inputs is whole.inputs
    assert apply_fills(whole, None) is whole


def test_samples_of_other_features_are_refused():
    for width in (2, 4):
        with pytest.raises(
            DataError, match=rf"new\.npz has {width} features a sample; the network takes 3 \(indicators "
        ):
            apply_fills(split_of(np.ones((2, width))), MARKED)


def test_what_was_converted_is_taken_where_it_was_filled_in_alike_and_only_there():
    whole = split_of(np.ones((2, 4)), input_sums=("x",))
    alike = dataclasses.replace(whole, fills=dataclasses.replace(MARKED, filled=(5, 1)))
    assert apply_fills(alike, MARKED) is alike
    other = dataclasses.replace(whole, fills=Fills(3, np.zeros(1), (1,)))
    for fills, word in ((MARKED, "others"), (None, "none")):
        with pytest.raises(
            DataError, match=rf"in its own training samples, and here it is {word} \(data\.missing\); give"
        ):
            apply_fills(other, fills)


def test_what_was_converted_without_is_not_filled_in():
    with pytest.raises(
        DataError, match=r"converted without what stands for .*, and 4 values in it are missing; give the da"
    ):
        apply_fills(split_of(input_sums=("x",)), Fills(3, np.zeros(1)))
    with pytest.raises(
        DataError, match="the training data have inputs that say where values are missing; give the data"
    ):
        apply_fills(split_of(np.ones((2, 3)), input_sums=("x",)), MARKED)
    whole = split_of(np.ones((2, 3)), input_sums=("x",))
    assert apply_fills(whole, Fills(3, np.zeros(1))).inputs is whole.inputs
