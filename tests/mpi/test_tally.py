"""Counts and scores of all ranks are those that one rank finds, to the last bit."""

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.local import LocalGroup
from dpnet.compute.shares import share
from dpnet.data.classes import Classes
from dpnet.inference.tally import Tally

pytestmark = pytest.mark.mpi

group = connect()


def tallied(labels, logits, of, weights=None):
    tally = Tally(Classes(np.arange(logits.shape[1])), None)
    first, stop = share(len(labels), of.rank, of.world_size)
    if weights is None:
        tally.add(logits[first:stop], labels[first:stop])
    else:
        tally.weigh(weights.max())
        tally.add(logits[first:stop], labels[first:stop], weights[first:stop])
    return tally.total(of, 0.5)


@pytest.mark.parametrize("rows", [1, 2, 301])  # A rank may have no samples.
@pytest.mark.parametrize("classes", [1, 2, 11])
@pytest.mark.parametrize("ordered", [True, False])  # A rank may have samples of one class only.
def test_the_scores_are_those_of_one_rank(rows, classes, ordered):
    generator = np.random.default_rng(rows)
    labels = generator.integers(0, max(1, classes - (classes > 2)), rows)
    logits = generator.standard_normal((rows, classes)).astype(np.float32).round(1)  # With ties.
    found = tallied(np.sort(labels) if ordered else labels, logits, group)
    expected = tallied(np.sort(labels) if ordered else labels, logits, LocalGroup())
    assert group.allgather(found) == [expected] * group.world_size
    assert found.support.sum() == rows
    assert (found.auc is not None) == (classes == 2 and len(set(labels)) == 2)


@pytest.mark.parametrize("classes", [2, 11])
def test_weighted_scores_are_those_of_one_rank(classes):
    generator = np.random.default_rng(classes)
    labels, weights = (
        generator.integers(0, classes, 301),
        generator.random(301) * 10.0 ** generator.integers(-9, 9, 301),
    )
    logits = generator.standard_normal((301, classes)).round(1)
    found, expected = (tallied(labels, logits, of, weights) for of in (group, LocalGroup()))
    assert group.allgather(found) == [expected] * group.world_size
    assert found.support.sum() == pytest.approx(weights.sum())
