"""The memory of a node: against what a training takes, and against sums that were worked out by hand."""

import gc
import tracemalloc

import pytest
from helpers.jobs import make_job

from dpnet.comm.local import LocalGroup
from dpnet.nn.layout import Layout
from dpnet.parallel.exchange import Exchange
from dpnet.training.build import build_optimizer, build_parts
from dpnet.training.estimate.case import Case, Load
from dpnet.training.estimate.footprint import Vectors, node_bytes
from dpnet.training.estimate.model import Network, Outlook, Point, outlook
from dpnet.training.prepare import open_data, prepare

LARGE = {
    "model.hidden_layers": [1200, 1200],
    "train.global_batch_size": 64,
    "optimizer.name": "adamw",
    "evaluate.every_steps": 0,
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"train.global_batch_size": 1024},
        {"train.reproducible_shards": 7},
        {"train.workers": 3, "train.sync_every": 2},
        {"optimizer.name": "sgd", "train.reducer": "allreduce"},
    ],
    ids=["joint", "large batch", "reproducible", "local", "allreduce"],
)
def test_it_is_what_a_training_takes(tmp_path, settings):
    job, group = make_job(tmp_path, {**LARGE, **settings}), LocalGroup()
    source = open_data(job, group)
    setup = prepare(job, group, source)
    tracemalloc.start()  # What numpy allocates is seen, too.
    try:
        parts = build_parts(setup, source)
        for step in range(2):
            parts.trainer.step(step)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = Outlook(Case(job.train, 1, 1, len(source.train)), 1.0, Exchange())
    expected = node_bytes(found, job.model, setup.layout, Vectors(len(build_optimizer(job).slots), 1))
    assert expected == pytest.approx(taken, rel=0.15)


LAYOUT = Layout((784, 2048, 2048, 10))
SIZE = 5_825_536
ROW = 784 + 2 * 2048 + 10 + 2 * 2048
"""Elements of a sample: x, the outputs, and the gradients of the layers but the last."""
TILE = 1 << 20


def memory(path, nodes, ranks, *, banks=1, slots=2, **train):
    settings = {"train.global_batch_size": 512, **{f"train.{key}": value for key, value in train.items()}}
    job = make_job(path, settings)
    case = Case(job.train, nodes, ranks, 10**6)
    found = outlook(case, job.model, LAYOUT, Network(1e9, 1e-5), {case.load: Point(case.load.samples, 0.1, 5e10)})
    return node_bytes(found, job.model, LAYOUT, Vectors(slots, banks)) / 4, found


def test_there_are_two_banks_where_several_ranks_survive_a_loss(tmp_path):
    two, _ = memory(tmp_path, 1, 2, banks=2)
    assert two == 2 * 3 * SIZE + 512 * ROW + 2 * TILE
    one, _ = memory(tmp_path, 1, 1, banks=2)
    assert one == 3 * SIZE + 512 * ROW + TILE


def test_with_factors_a_node_has_the_rows_of_all_and_a_tile_for_each(tmp_path):
    found, expected = memory(tmp_path, 4, 2, exchange="factors", slots=0)
    messages = expected.exchange.cost.bytes / 4
    assert found == pytest.approx(SIZE + 512 * ROW + 4 * 2 * TILE + messages * 4 / 3)


def test_with_gradients_a_node_has_its_own_rows_and_three_more_vectors(tmp_path):
    found, _ = memory(tmp_path, 4, 2, exchange="gradients", slots=1)
    assert found == pytest.approx(2 * SIZE + 128 * ROW + 2 * TILE + (3 + 1 / 4) * SIZE)
    rounded, _ = memory(tmp_path, 4, 2, wire="bfloat16", slots=1)
    assert rounded - found == pytest.approx((3 + 1 / 4) / 2 * SIZE)


def test_sums_in_a_fixed_order_take_a_vector_for_each_partial_sum(tmp_path):
    # The tree over 12 shards is ((0-3) (4-7)) (8-11). Rank 1 keeps 3, 4 and 5 until it adds 4 and 5; rank 3 likewise.
    found, expected = memory(tmp_path, 1, 4, reproducible_shards=12, slots=0)
    assert [len(share) for share in expected.case.shares] == [3, 3, 3, 3]
    assert found == pytest.approx(SIZE + 4 * 43 * ROW + (2 + 3 + 2 + 3) * SIZE)


def test_every_worker_has_vectors_of_its_own(tmp_path):
    few, _ = memory(tmp_path, 2, 1, workers=4, slots=2, banks=2)
    more, expected = memory(tmp_path, 2, 1, workers=8, slots=2, banks=2)
    assert expected.case.load == Load(True, 4, 256)
    # Two more of three vectors each, rows of half as many samples, and one more sum on the stack of the rank.
    assert more - few == pytest.approx(2 * 3 * SIZE - 64 * ROW + SIZE)
