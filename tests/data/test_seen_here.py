"""What a host sees of data is summed up to the last bit, of large data in spots, the same by any number of ranks."""

import dataclasses

import numpy as np
import pytest

from dpnet.data import seen_here
from dpnet.data.seen_here import in_words, remark, sums_of_share
from dpnet.data.split import make_split

ROWS, FEATURES = 5000, 7
CHANCE = np.random.default_rng(2)
X = CHANCE.integers(0, 200, (ROWS, FEATURES)).astype(np.float32)
Y = CHANCE.integers(0, 4, ROWS)


def seen(split, parts=1, schema=None):
    splits = {"train": split, "test": split}
    return in_words(splits, schema, [sums_of_share(splits, part, parts) for part in range(parts)])


def split_of(x=X, y=Y, **more):
    return make_split(x, y, "x", "y", **more)


def names_of_other(split):
    before, now = seen(split_of()), seen(split)
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name) and "training" in name)


@pytest.mark.parametrize("parts", [2, 3, 300])
def test_any_number_of_ranks_of_a_host_sees_the_same(parts):
    assert seen(split_of(), parts) == seen(split_of())


def changed(array, where, value):
    copy = array.copy()
    copy[where] = value
    return copy


@pytest.mark.parametrize("row", [0, 1234, ROWS - 1])
def test_every_number_counts(row):
    assert names_of_other(split_of()) == []
    assert names_of_other(split_of(x=changed(X, (row, 3), 1000))) == ["the content of the training features"]
    assert names_of_other(split_of(y=changed(Y, row, (Y[row] + 1) % 4))) == ["the content of the training labels"]
    weights = np.ones(ROWS)
    name = "the content of the training weights"
    one, other = (seen(split_of(weights=given)) for given in (weights, changed(weights, row, 2.0)))
    assert one[name] != other[name]


def test_the_order_the_type_and_the_names_of_classes_count():
    order = np.arange(ROWS)
    order[[7, 8]] = order[[8, 7]]
    assert names_of_other(split_of(X[order], Y[order]))[0] == "the content of the training features"
    assert "the type of the training features" in names_of_other(split_of(X.astype(np.float64)))
    words = np.array(["a", "b", "c", "d"])
    one, other = seen(split_of(y=words[Y])), seen(split_of(y=np.array(["a", "b", "c", "e"])[Y]))
    name = "the list of classes of the training labels"
    assert one[name] != other[name]


def test_rows_that_were_picked_count_and_not_others():
    rows = np.arange(0, ROWS, 2)
    picked = split_of().part(rows)
    assert seen(picked) == seen(split_of(X[::2].copy(), Y[::2]))


def test_samples_without_labels_are_compared_by_their_inputs():
    names = [*seen(dataclasses.replace(split_of(), labels=None))]
    assert [name for name in names if "content" in name] == [
        "the content of the training features",
        "the content of the test features",
    ]


def test_of_large_data_rows_of_every_part_count(monkeypatch):
    assert remark({"train": split_of()}) == ""
    monkeypatch.setattr(seen_here, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(seen_here, "SPOT_BYTES", FEATURES * 4)
    assert "some rows" in remark({"train": split_of()})
    features = ["the content of the training features"]
    for row in (0, ROWS - 1):  # The first and the last are always among them.
        assert names_of_other(split_of(x=changed(X, row, -1))) == features
    assert names_of_other(split_of(x=X[::-1].copy())) == features
    assert names_of_other(split_of(x=np.roll(X, 1, axis=0))) == features
    half = changed(X, slice(ROWS // 2, None), 0)
    assert names_of_other(split_of(x=half)) == features
    # Labels lie in memory: each counts.
    assert names_of_other(split_of(y=changed(Y, 777, (Y[777] + 1) % 4))) == ["the content of the training labels"]


def test_few_rows_of_large_data_are_read(monkeypatch):
    read = []
    monkeypatch.setattr(seen_here, "WHOLE_BYTES", 0)
    monkeypatch.setattr(seen_here, "SPOT_BYTES", 1)
    split = split_of()
    monkeypatch.setattr(type(split), "block", lambda self, start, stop: read.append(stop - start) or X[start:stop])
    sums_of_share({"train": split}, 0, 1)
    assert sum(read) == 256 * seen_here.SPOTS
