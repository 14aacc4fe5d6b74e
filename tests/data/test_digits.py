from __future__ import annotations

import numpy as np
import pytest

from dpnet.compute.random import random_bits
from dpnet.data.digits import FILE
from dpnet.data.sources import open_source, open_split


def test_the_embedded_digits():
    source = open_source("digits")
    assert (source.train.inputs.shape, source.test.inputs.shape) == ((1437, 64), (360, 64))
    assert (source.train.inputs.dtype, source.train.labels.dtype) == (np.uint8, np.int64)
    assert (source.features, source.outputs, source.train.inputs.max()) == (64, 10, 16)
    assert source.train.inputs_file == "digits (x_train)"
    np.testing.assert_array_equal(open_split("digits").inputs, source.test.inputs)
    np.testing.assert_array_equal(open_split("digits", "train").labels, source.train.labels)


def test_they_are_small_and_their_origin_is_documented():
    assert FILE.stat().st_size < 50_000
    assert "10.24432/C50P49" in FILE.with_name("DIGITS.md").read_text()


def test_they_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    order = np.argsort(random_bits(1797, seed=0, purpose=0), kind="stable")
    source = open_source("digits")
    np.testing.assert_array_equal(source.train.inputs, digits.data[order[:1437]])
    np.testing.assert_array_equal(source.test.inputs, digits.data[order[1437:]])
    np.testing.assert_array_equal(source.train.labels, digits.target[order[:1437]])
    np.testing.assert_array_equal(source.test.labels, digits.target[order[1437:]])
