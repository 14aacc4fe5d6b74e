from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpnet.data.scaling import SCALINGS, Scaling, fit
from dpnet.data.split import make_split
from dpnet.data.statistics import chunks, combine, measure
from dpnet.errors import CheckpointError, DataError


def fit_to(kind, x) -> Scaling:
    split = make_split(np.asarray(x), None, "x.npy", "y.npy")
    return fit(kind, combine([measure(split, chunk) for chunk in chunks(len(split))]))


def test_the_names_are_those_of_the_job_file():
    assert list(SCALINGS) == ["none", "unit", "standardize"]


def test_none_changes_nothing():
    scaling = fit_to("none", [[1.0, 2.0], [3.0, 5.0]])
    assert (scaling.offset.tolist(), scaling.factor.tolist()) == ([0], [1])


def test_unit_maps_all_values_to_0_and_1():
    scaling = fit_to("unit", np.array([[50, 100], [250, 100]], dtype=np.uint8))
    assert (scaling.offset.tolist(), scaling.factor.tolist()) == ([50], [1 / 200])


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 5), st.sampled_from([1e-30, 1e-3, 1.0, 1e6]), st.integers(0, 2**32 - 1))
def test_standardized_features_have_mean_0_and_deviation_1(rows, features, size, seed):
    x = (np.random.default_rng(seed).standard_normal((rows, features)) + 3) * size
    scaling = fit_to("standardize", x)
    scaled = (x - scaling.offset) * scaling.factor
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(scaled.std(axis=0), 1 if rows > 1 else 0, atol=1e-10)


def test_standardize_is_that_of_scikit_learn():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = np.random.default_rng(5).standard_normal((400, 4)) * [1, 100, 1e-3, 0] + [0, 7, 1e3, 0.1]
    oracle = preprocessing.StandardScaler().fit(x)
    scaling = fit_to("standardize", x)
    np.testing.assert_allclose(scaling.offset, oracle.mean_, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(1 / scaling.factor, oracle.scale_, rtol=1e-12)


@pytest.mark.parametrize("kind", ["unit", "standardize"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 5e-324])
def test_constant_values_are_only_centred(kind, value):
    scaling = fit_to(kind, [[value]] * 3)
    assert (scaling.offset.tolist(), scaling.factor.tolist()) == ([value], [1])


def test_a_feature_that_differs_by_rounding_only_counts_as_constant():
    assert fit_to("standardize", [[0.1 + 0.2], [0.3]]).factor.tolist() == [1]
    for kind in ("unit", "standardize"):
        assert fit_to(kind, [[0.0], [1e-310]]).factor.tolist() == [1]
        assert fit_to(kind, [[0.0], [1e-156]]).factor.tolist() == [1]


def test_a_small_but_real_spread_counts():
    assert fit_to("standardize", [[1e9], [1e9 + 1e-3]]).factor[0] == pytest.approx(2e3, rel=1e-3)


@pytest.mark.parametrize("kind", ["unit", "standardize"])
def test_values_beyond_float64_are_refused(kind):
    with pytest.raises(DataError, match=rf'from -1e\+308 to 1e\+308: too wide for data\.scale = "{kind}"'):
        fit_to(kind, [[1e308], [-1e308], [1e308]])
    assert fit_to("none", [[1e308], [-1e308]]).factor.tolist() == [1]


def test_round_trip_through_tensors():
    scaling = fit_to("standardize", [[1.0, 2.0], [4.0, 7.0]])
    back = Scaling.from_tensors({**scaling.to_tensors(), "other": np.zeros(1)})
    assert back.offset.tobytes() == scaling.offset.tobytes()
    assert back.factor.tobytes() == scaling.factor.tobytes()


@pytest.mark.parametrize("bad", [None, np.zeros((2, 2)), np.array([np.nan])])
def test_tensors_that_do_not_fit(bad):
    tensors = Scaling(np.zeros(1), np.ones(1)).to_tensors()
    if bad is None:
        del tensors["scaling.factor"]
    else:
        tensors["scaling.factor"] = bad
    with pytest.raises(CheckpointError, match=r"tensor scaling\.factor"):
        Scaling.from_tensors(tensors)
