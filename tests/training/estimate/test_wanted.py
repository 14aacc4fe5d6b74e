"""What is estimated, and what has to be measured for it."""

import itertools

import pytest
from helpers.jobs import make_job

from dpnet.errors import ConfigError
from dpnet.training.estimate.case import Case, Load
from dpnet.training.estimate.wanted import MOST_LOADS, Wanted, choose_cases


def job(path, **train):
    return make_job(path, {f"train.{key}": value for key, value in train.items()})


def case(path, nodes, ranks=1, **train):
    return Case(job(path, **train).train, nodes, ranks, 1000)


def test_a_node_computes_its_share_of_the_batch(tmp_path):
    for nodes, samples in ((1, 100), (2, 50), (3, 34), (7, 15), (100, 1)):
        assert case(tmp_path, nodes, global_batch_size=100).load == Load(False, 0, samples)
    assert case(tmp_path, 4, 4, global_batch_size=100).load == Load(False, 0, 25)


def test_the_node_with_the_most_shards_counts(tmp_path):
    # 8 shards of 16 samples on 3 nodes: as 2, 2 and 4 of them, one sum of each travels.
    assert case(tmp_path, 3, reproducible_shards=8).load == Load(False, 4, 64)
    assert case(tmp_path, 2, 2, reproducible_shards=8).load == Load(False, 4, 64)
    assert case(tmp_path, 2, 2, workers=8).load == Load(True, 4, 64)


def test_a_load_is_a_training_of_a_node_alone(tmp_path):
    train = job(tmp_path, wire="bfloat16").train
    alone = Load(False, 0, 40).train(train)
    assert (alone.global_batch_size, alone.workers, alone.reproducible_shards) == (40, 0, 0)
    alone = Load(True, 6, 48).of_one_rank(3).train(train)
    assert (alone.global_batch_size, alone.workers, alone.reproducible_shards, alone.wire) == (16, 2, 0, "float32")
    alone = Load(False, 4, 64).train(job(tmp_path, reproducible_shards=8).train)
    assert (alone.global_batch_size, alone.workers, alone.reproducible_shards) == (64, 0, 4)


def test_by_default_nodes_are_powers_of_two_as_far_as_each_rank_gets_a_sample(tmp_path):
    cases = choose_cases(job(tmp_path, global_batch_size=128), 1000, 4, Wanted())
    assert [row.nodes for row in cases.rows] == [1, 2, 4, 8, 16, 32]
    assert cases.left_out == {}
    cases = choose_cases(job(tmp_path, global_batch_size=10**6), 10**7, 1, Wanted())
    assert cases.rows[-1].nodes == 1024


def test_what_cannot_be_trained_is_left_out_and_named(tmp_path):
    settings = job(tmp_path, global_batch_size=128, reproducible_shards=8)
    cases = choose_cases(settings, 1000, 2, Wanted(nodes=[8, 2, 100, 2]))
    assert [row.nodes for row in cases.rows] == [2]
    assert cases.left_out == {
        8: "16 ranks for train.reproducible_shards = 8",
        100: "200 ranks for 128 samples a step",
    }
    with pytest.raises(ConfigError, match=r"8 nodes of 2 ranks: 16 ranks for train.reproducible_shards = 8; ask for"):
        choose_cases(settings, 1000, 2, Wanted(nodes=[8]))
    with pytest.raises(ConfigError, match=r"1 node of 9 ranks: 9 ranks for train.workers = 8"):
        choose_cases(job(tmp_path, workers=8), 1000, 9, Wanted())


def test_the_batch_is_never_larger_than_the_data(tmp_path):
    settings = job(tmp_path, global_batch_size=128)
    cases = choose_cases(settings, 100, 1, Wanted(nodes=[1, 2, 100]))
    assert {row.train.global_batch_size for row in cases.rows} == {100}
    weak = choose_cases(settings, 300, 1, Wanted(nodes=[1, 2, 3], weak=True))
    assert [row.train.global_batch_size for row in weak.rows] == [128, 256]
    assert weak.left_out == {3: "a step of 384 samples, and there are only 300"}
    assert {row.load.samples for row in weak.rows} == {128}


def test_the_changes_are_those_that_the_job_allows(tmp_path):
    def names(nodes=2, samples=10**6, **train):
        return list(choose_cases(job(tmp_path, **train), samples, 2, Wanted(nodes=[nodes])).changes)

    batches = ["global_batch_size = 256", "global_batch_size = 512"]
    local = ["workers = 4, sync_every = 16"]
    ways = ['exchange = "gradients"', 'exchange = "factors"', 'exchange = "recompute"']
    assert names() == ['wire = "bfloat16"', *ways, *batches, *local]
    assert names(exchange="factors") == ['wire = "bfloat16"', ways[0], ways[2], *batches, *local]
    assert names(wire="bfloat16") == ['wire = "float32"', *ways, *batches, *local]
    assert names(reducer="shards") == ['wire = "bfloat16"', *batches, *local]
    assert names(reducer="allreduce") == [*batches, *local]
    assert names(reproducible_shards=8) == batches
    assert names(workers=8) == [*batches, "sync_every = 64"]
    assert names(nodes=1) == batches
    assert names(samples=300, reproducible_shards=8) == batches[:1]


def test_few_loads_are_all_measured_and_of_many_some_with_the_ends(tmp_path):
    cases = choose_cases(job(tmp_path, global_batch_size=1024), 4096, 1, Wanted(nodes=[1, 2, 4]))
    assert cases.loads() == [Load(True, 1, 256), *(Load(False, 0, samples) for samples in (1024, 512, 256))]
    exact = [
        load
        for load in choose_cases(job(tmp_path, global_batch_size=8192), 8192, 1, Wanted()).loads()
        if not load.local
    ]
    assert len(exact) == MOST_LOADS
    assert (exact[0].samples, exact[-1].samples) == (8192, 8)
    assert all(one.samples > other.samples for one, other in itertools.pairwise(exact))
