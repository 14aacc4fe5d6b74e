import numpy as np
import pytest

from dpnet.compute.random import VALIDATION
from dpnet.data.hold_out import hold_out
from dpnet.errors import DataError


def held_out(labels, share, **options):
    return hold_out(np.array(labels), share, **{"key": "data.test", "file": "t.csv", **options})


def test_the_rows_that_are_held_out_follow_from_the_labels_alone():
    labels = np.array(["a", "b", "b", "a"] * 25)
    held, others = held_out(labels, 0.1)
    assert sorted([*held, *others]) == list(range(100))
    assert sorted(labels[held]) == ["a"] * 5 + ["b"] * 5
    assert held.tolist() == held_out(np.char.add(labels, "x"), 0.1)[0].tolist()
    assert held.tolist() == [3, 20, 22, 26, 31, 38, 42, 67, 89, 95]


def test_of_every_class_the_share_is_held_out():
    labels = np.repeat([5, 1, 9], [100, 50, 10])
    held, others = held_out(labels, 0.1)
    assert [int((labels[held] == label).sum()) for label in (5, 1, 9)] == [10, 5, 1]
    assert len(held) + len(others) == 160


def test_another_seed_or_purpose_holds_out_other_rows():
    labels = [0, 1] * 100
    found = [held_out(labels, 0.2, seed=seed, purpose=VALIDATION)[0].tolist() for seed in (0, 1, 2**63 - 1)]
    assert len({*map(tuple, found), tuple(held_out(labels, 0.2)[0].tolist())}) == 4
    assert held_out(labels, 0.2, seed=1, purpose=VALIDATION)[0].tolist() == found[1]


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_each_class_keeps_at_least_one_row_to_train_on(share):
    labels = np.array([0, 1, 1, 2, 2, 2])
    held, others = held_out(labels, share)
    assert set(labels[others]) == {0, 1, 2}
    assert 0 not in labels[held]


def test_a_share_of_less_than_a_row_is_an_error():
    with pytest.raises(DataError, match=r"^data\.test is 0\.1: of the 8 rows of t\.csv that is not one of any class;"):
        held_out([0, 0, 0, 0, 1, 1, 1, 1], 0.1)
    with pytest.raises(DataError, match=r"not one of any class; .* Targets that are numbers: model\.task = \"regr"):
        held_out([0, 1, 2], 0.9)  # Each class has to keep its only row.
