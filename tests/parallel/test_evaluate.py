"""Scores are means over the samples of all ranks. See tests/inference/test_network.py for whole evaluations."""

from types import SimpleNamespace

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.compute.backend import plain_backend
from dpnet.config.job import ModelConfig
from dpnet.data.scaling import UNSCALED
from dpnet.data.split import make_split
from dpnet.nn.layout import Layout
from dpnet.parallel.evaluate import Blocks, Evaluator
from dpnet.parallel.replica import build_replica
from dpnet.parallel.scores import OfClasses, Scores

NUM_SAMPLES, SIZE = 23, 5


class Rank(LocalGroup):
    """A rank of several. It gets what the others send from `vectors`, one for each exchange."""

    def __init__(self, rank, world_size, vectors=()):
        super().__init__()
        self.rank, self.world_size = rank, world_size
        self._vectors = iter(vectors)

    def allgather_into(self, vector, counts):
        whole, start = next(self._vectors), sum(counts[: self.rank])
        mine = slice(start, start + counts[self.rank])
        whole[mine] = vector[mine]
        vector[:] = whole


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_every_sample_is_in_one_block_of_one_rank(world_size):
    every = [Blocks(Rank(rank, world_size), NUM_SAMPLES, SIZE) for rank in range(world_size)]
    numbers, ids = zip(*(block for blocks in every for block in blocks), strict=True)
    assert numbers == tuple(range(5)) == tuple(range(every[0].num))
    assert [len(block) for block in ids] == [5, 5, 5, 5, 3]
    assert np.concatenate(ids).tolist() == list(range(NUM_SAMPLES))
    for rank, blocks in enumerate(every):
        assert blocks.counts == every[0].counts
        assert len(list(blocks)) == blocks.counts[rank]


def test_the_scores_are_those_of_the_samples_of_all_ranks():
    class Samples:
        known = weights = None

        def __len__(self):
            return NUM_SAMPLES

        def gather(self, ids):
            return ids, ids

    # A sample costs its number, and those above 19 are hits; this rank has the last three blocks of five.
    replica = SimpleNamespace(
        dataset=Samples(),
        network=SimpleNamespace(forward=lambda x, params: x),
        scorer=OfClasses(lambda logits, labels, scale, weights: (float(logits.sum()), int((labels > 19).sum()))),
    )
    theirs = np.full((5, 3), -1.0)
    theirs[:2] = [5, 100, 2], [5, 200, 4]
    scores = Evaluator(Rank(1, 2, [theirs.ravel()]), replica, batch_size=SIZE)([])
    assert scores == Scores((100 + 200 + sum(range(10, 23))) / 23, (2 + 4 + 3) / 23, 23)


@pytest.mark.parametrize("world_size", [1, 3])
def test_samples_without_a_known_class_enter_no_score(world_size):
    known = np.array([0, 1, 5, 6, 7, 11, 12, 20, 22])
    scored = []
    replica = SimpleNamespace(
        dataset=SimpleNamespace(known=known, weights=None, gather=lambda ids: (ids, ids)),
        network=SimpleNamespace(forward=lambda x, params: x),
        scorer=OfClasses(lambda logits, labels, scale, weights: (scored.extend(logits.tolist()) or 0.0, 0)),
    )
    for rank in range(world_size):
        scores = Evaluator(Rank(rank, world_size, [np.ones(9)]), replica, batch_size=4)([])
        assert scores.samples == len(known)
    assert scored == known.tolist()


def test_a_sample_enters_the_scores_with_its_weight():
    rng = np.random.default_rng(2)
    inputs, labels, weights = rng.standard_normal((11, 3)), np.arange(11) % 2, rng.integers(0, 4, 11)
    weighted = make_split(inputs, labels, "x", "y", weights=weights)
    repeated = make_split(np.repeat(inputs, weights, axis=0), np.repeat(labels, weights), "x", "y")
    layout, model = Layout((3, 2)), ModelConfig(hidden_layers=(), dtype="float64")
    params = rng.standard_normal(layout.size)
    scores = []
    for split in (weighted, repeated):
        replica = build_replica(model, split, UNSCALED, layout, 4, plain_backend())
        scores.append(Evaluator(LocalGroup(), replica, batch_size=4)(layout.views(params)))
    assert scores[0].loss == pytest.approx(scores[1].loss, rel=1e-14)
    assert scores[0].accuracy == pytest.approx(scores[1].accuracy, rel=1e-14)
    assert (scores[0].samples, scores[1].samples) == (11, weights.sum())
