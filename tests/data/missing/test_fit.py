"""What stands for missing values follows from the training samples alone, or from a network that was trained before."""

import numpy as np
import pytest

from dpnet.config.data import DataConfig
from dpnet.data.missing import fit
from dpnet.data.missing.fills import Fills
from dpnet.data.missing.fit import fill_in
from dpnet.data.sources import open_source
from dpnet.data.split import make_split
from dpnet.errors import DataError

NAN = np.nan
X = np.array([[1.0, NAN, 3.0], [2.0, 4.0, NAN], [6.0, NAN, 5.0], [NAN, 8.0, 7.0]])


def split_of(x, name="train"):
    return make_split(np.array(x), np.arange(len(x)) % 2, f"x_{name}", f"y_{name}")


def filled(missing, x=X, kept=None):
    return fill_in(missing, split_of(x), None, None, kept)[0]


def test_each_way_puts_something_else_in_the_place_of_a_missing_value():
    assert filled("mean").inputs.tolist() == [[1, 6, 3], [2, 4, 5], [6, 6, 5], [3, 8, 7]]
    assert filled("zero").inputs.tolist() == [[1, 0, 3], [2, 4, 0], [6, 0, 5], [0, 8, 7]]
    assert filled("indicator").inputs.tolist() == [
        [1, 0, 6, 1, 3, 0], [2, 0, 4, 0, 5, 1], [6, 0, 6, 1, 5, 0], [3, 1, 8, 0, 7, 0],
    ]  # fmt: skip
    assert np.isnan(filled("error").inputs).sum() == 4
    assert filled("error").fills is None


def test_a_feature_is_followed_by_an_indicator_only_where_a_training_sample_lacks_it():
    train, _, test = fill_in("indicator", split_of([[1, NAN, 3], [3, 2, 5]]), None, split_of([[NAN, NAN, 1.0]], "test"))
    assert train.inputs.tolist() == [[1, 2, 1, 3], [3, 2, 0, 5]]
    assert test.inputs.tolist() == [[2, 2, 1, 1]]  # What no training sample lacks is its mean, too.
    assert train.fills.record() == {"features": 3, "values": [2, 2, 4], "indicators": [1], "filled": [1, 1]}


def test_samples_that_are_held_out_do_not_enter(tmp_path):
    x = np.arange(40.0).reshape(20, 2)
    x[3, 1] = x[4, 0] = NAN
    np.savez(tmp_path / "d.npz", x_train=x, y_train=np.arange(20) % 2)
    found = open_source(str(tmp_path / "d.npz"), DataConfig(test=0.3, validation=0.2, missing="mean"))
    assert found.validation.inputs is found.train.inputs is found.test.inputs
    trained = x[found.train.rows]
    assert found.train.fills.values.tolist() == [np.nanmean(trained[:, 0]), np.nanmean(trained[:, 1])]
    assert found.train.inputs[3, 1] == found.train.fills.values[1]


def test_where_nothing_is_missing_nothing_is_copied(tmp_path):
    for name, x in (("train", np.arange(8.0).reshape(4, 2)), ("test", np.ones((3, 2)))):
        np.save(tmp_path / f"x_{name}.npy", x)
        np.save(tmp_path / f"y_{name}.npy", np.arange(len(x)) % 2)
    for missing in ("mean", "zero", "indicator"):
        found = open_source(str(tmp_path), DataConfig(missing=missing))
        assert isinstance(found.train.inputs, np.memmap)
        assert isinstance(found.test.inputs, np.memmap)
        assert found.train.fills.values.tolist() == ([0] if missing == "zero" else [3, 4])
        assert not any("missing" in remark for remark in found.train.remarks)
    x[1, 1] = NAN
    np.save(tmp_path / "x_test.npy", x)
    found = open_source(str(tmp_path), DataConfig(missing="indicator"))
    assert isinstance(found.train.inputs, np.memmap)
    assert found.test.inputs.tolist() == [[1, 1], [1, 4], [1, 1]]


def test_what_is_filled_in_is_told_in_one_line():
    train, validation, test = fill_in(
        "indicator", split_of(X), split_of(X[:2], "validation"), split_of(X[:1, :3], "test")
    )
    assert train.remarks == (
        "4 training, 2 validation and 1 test values are missing, in 3 of 3 features, and filled in (data.missing = "
        '"indicator"); 3 more inputs say where',
    )
    assert validation.remarks == test.remarks == ()
    assert filled("mean", [[1, NAN], [1, 2.0]]).remarks == (
        '1 training value is missing, in 1 of 2 features, and filled in (data.missing = "mean")',
    )


def test_a_type_is_kept_and_what_stands_for_a_value_is_a_number_of_it():
    train = filled("mean", np.array([[0.1, 1], [0.2, 2], [0.7, 3], [NAN, 4]], np.float32))
    assert train.inputs.dtype == np.float32
    assert train.fills.values[0] == np.float32(np.mean(np.array([0.1, 0.2, 0.7], np.float32), dtype=np.float64))
    assert train.inputs[3, 0] == train.fills.values[0]


def test_integers_are_left_as_they_are_and_know_what_stands_for_values_in_other_data():
    train, _, test = fill_in("mean", split_of([[1, 2], [3, 4]]), None, split_of([[NAN, 1.0]], "test"))
    assert train.inputs.dtype.kind == "i"
    assert test.inputs.tolist() == [[2, 1]]


@pytest.mark.parametrize("missing", ["mean", "zero", "indicator"])
def test_a_feature_without_a_known_value_is_refused(missing):
    with pytest.raises(
        DataError, match=r"^x_train, column 1 \(from 0\): every training value is missing; leave .*\[1\]"
    ):
        filled(missing, [[1, NAN], [2, NAN]])
    with pytest.raises(DataError, match="so it is with 1 other"):
        filled(missing, [[NAN, NAN], [NAN, NAN]])


def test_values_that_have_no_mean_are_refused():
    with pytest.raises(DataError, match=r"column 1 \(from 0\): the sum of its values is beyond float64"):
        filled("mean", [[1, 1e308], [2, 1e308]])
    assert filled("zero", [[1, 1e308], [NAN, 1e308]]).inputs.tolist() == [[1, 1e308], [0, 1e308]]


@pytest.mark.parametrize("missing", ["mean", "zero", "indicator"])
def test_infinity_stays_an_error(missing):
    with pytest.raises(
        DataError, match=r"^x_train, row 1, column 0 \(both from 0\): the value is inf; expected a finite"
    ):
        filled(missing, [[1, NAN], [np.inf, 2]])


def test_more_than_a_checkpoint_keeps_is_refused(monkeypatch):
    monkeypatch.setattr(fit, "MAX_RECORD", 1000)
    wide = np.arange(400.0).reshape(2, 200) / 7
    with pytest.raises(DataError, match=r'200 features takes more than .* expected data\.missing = "zero"'):
        filled("mean", wide)
    assert filled("zero", wide).fills.values.tolist() == [0]


def test_other_samples_have_as_many_features():
    with pytest.raises(
        DataError, match=r"x_test has 2 features a sample; x_train has 3 \(indicators of missing values are added"
    ):
        fill_in("indicator", split_of(X), None, split_of(X[:, :2], "test"))


KEPT = Fills(3, np.array([9.0, 8.0, 7.0]), (1, 2))


def test_the_features_become_what_they_were_for_a_network_that_was_trained_before():
    # The second and the third have indicators there; the first lacks a value now.
    assert filled("mean", X, KEPT).inputs[3].tolist() == [9, 8, 0, 7, 0]
    assert filled("mean", X, KEPT).fills.record() == {**KEPT.record(), "filled": [4, 3]}
    found = filled("error", X, KEPT)  # Then NaN is refused where inputs are checked.
    assert found.fills.values is None
    assert np.isnan(found.inputs[3, 0])
    assert found.inputs[0, 2] == 1
    assert filled("error", X, Fills(3, None)).fills is None
    assert filled("indicator", np.ones((2, 3)), KEPT).inputs.tolist() == [[1, 1, 0, 1, 0]] * 2


def test_a_network_that_was_trained_without_them_gets_what_stands_for_missing_values_now_and_no_more_inputs():
    assert filled("mean", X, Fills(3, None)).inputs.tolist() == filled("mean").inputs.tolist()
    for kept in (Fills(3, None), Fills(3, np.zeros(3), (0, 2))):
        with pytest.raises(
            DataError, match=r'column [01] \(from 0\): values are missing, .* expected data.missing = "mean"'
        ):
            filled("indicator", X, kept)
    whole = [[1.0, 2, 3], [4, 5, 6]]
    assert filled("indicator", whole, Fills(3, None)).inputs.tolist() == whole


def test_as_many_features_as_inputs_of_a_network_are_no_features_of_it():
    with pytest.raises(DataError, match=r"x_train has 5 features a sample; the pretrained network .* takes 3 \(ind"):
        filled("mean", np.ones((4, 5)), KEPT)
    assert filled("mean", np.ones((4, 5)), Fills(3, KEPT.values)).fills is None  # Told where networks are compared.
