"""All reducers against the textbook's: the same gradient and the same sums, on every number of ranks and of nodes."""

import numpy as np
import pytest
from helpers.nodes import KINDS, finished, on_nodes

from dpnet.compute.arrays import aligned_zeros
from dpnet.compute.backend import plain_backend
from dpnet.config.job import ModelConfig
from dpnet.data.scaling import Scaling
from dpnet.data.split import make_split
from dpnet.nn.init import initialize
from dpnet.nn.layout import Layout
from dpnet.parallel.plan import Plan
from dpnet.parallel.reducer import REDUCERS
from dpnet.parallel.replica import build_replica
from dpnet.parallel.step_sums import Requests, Sums
from dpnet.parallel.weights import BatchWeights
from dpnet.state.ownership import owned_slices

pytestmark = pytest.mark.mpi

SIZES = (30, 70, 9, 3)
LAYOUT = Layout(SIZES)
NUM_SAMPLES, BATCH, NUM_STEPS = 50, 21, 4  # The third step has 8 samples.
INPUTS = np.random.default_rng(1).standard_normal((NUM_SAMPLES, 30))
WEIGHTS = np.random.default_rng(2).integers(0, 4, NUM_SAMPLES) / 2  # Some weigh nothing.
SPLIT = make_split(INPUTS, np.arange(NUM_SAMPLES) % 3, "x", "y", weights=WEIGHTS)
PLAIN = Scaling(np.zeros(1), np.ones(1))


@pytest.fixture(params=KINDS)
def nodes(request):
    return on_nodes(request.param)


def parameters(dtype):
    params = aligned_zeros(LAYOUT.size, dtype)
    initialize(LAYOUT, "relu", 5, params)
    return LAYOUT.views(params)


def replica_for(rows, dtype, zeros=aligned_zeros):
    return build_replica(ModelConfig(dtype=dtype), SPLIT, PLAIN, LAYOUT, rows, plain_backend(), zeros)


def reduced(nodes, name, *, num_shards=None, dtype="float64", batch=BATCH):
    """The sums and this rank's slice of the gradient of some steps."""
    plan = Plan(NUM_SAMPLES, batch, seed=2, num_shards=num_shards or nodes.group.world_size)
    kind, params = REDUCERS[name], parameters(dtype)
    room, zeros = plan.max_rows(), aligned_zeros
    if kind.shares_rows:
        room, zeros = plan.max_rows(len(nodes.here)), nodes.memory.zeros
    replica = replica_for(room, dtype, zeros)
    factors = replica.network.factors(replica.dataset.x)
    reducer = kind(nodes, plan=plan, layout=LAYOUT, dtype=dtype, factors=factors, backend=plain_backend())
    results, batch_weights = [], BatchWeights(SPLIT.weights, plan)
    for step in range(NUM_STEPS):
        num_samples = plan.batch_size(step)
        for shard in reducer.shards:
            first = reducer.first_row(num_samples, shard)
            x, labels = replica.dataset.gather(plan.shard(step, shard), first=first)
            logits = replica.network.forward(x, params, first=first)
            weights = batch_weights.of_shard(step, shard)
            loss, hits = replica.loss(logits, labels, batch_weights.scale(step), weights)
            backward = replica.network.propagate(logits, reducer.dbiases)
            asked = Requests(save=shard == 0, stop=True)
            reducer.add(shard, backward, Sums(len(x), weights.sum(), loss, hits, shard, *asked))
        sums = reducer.reduce(num_samples)
        results.append((sums, finished(reducer.grad, dtype)))
        nodes.node.barrier()  # As a commit does: only then others may write to the buffers again.
    return plan, results


def alone(plan, step):
    """The sums and the whole gradient of a step, by one network for all samples."""
    replica, grad = replica_for(plan.global_batch_size, "float64"), aligned_zeros(LAYOUT.size, np.float64)
    x, labels = replica.dataset.gather(plan.batch(step))
    weights = WEIGHTS[plan.batch(step)]
    loss, hits = replica.loss(
        replica.network.forward(x, parameters("float64")), labels, 1 / weights.sum() if weights.any() else 0.0, weights
    )
    replica.network.backward(replica.network.outputs[-1], LAYOUT.views(grad))
    numbers = range(plan.num_shards)
    return Sums(len(x), weights.sum(), loss, hits, sum(numbers), saves=1, stops=len(numbers)), grad


def assert_near(seen, expected):
    assert seen.loss == pytest.approx(expected.loss, rel=1e-13)
    assert seen._replace(loss=0) == expected._replace(loss=0)


def inside(nodes):
    """Which elements of this rank's slice are parameters; the others are padding, which some tiles leave out."""
    mask = np.zeros(LAYOUT.size, dtype=bool)
    for tensor in LAYOUT.tensors:
        mask[tensor.start : tensor.stop] = True
    owned = owned_slices(LAYOUT, nodes.node.world_size)[nodes.node.rank]
    return mask[owned], owned


@pytest.mark.parametrize("batch", [BATCH, 2])  # 2: most ranks have no sample.
@pytest.mark.parametrize("extra_shards", [0, 1, 5])
def test_the_textbook_gives_the_gradient_that_one_rank_gives_alone(nodes, extra_shards, batch):
    plan, results = reduced(nodes, "allreduce", num_shards=nodes.group.world_size + extra_shards, batch=batch)
    _, owned = inside(nodes)
    for step, (sums, grad) in enumerate(results):
        expected_sums, expected = alone(plan, step)
        assert_near(sums, expected_sums)
        np.testing.assert_allclose(grad, expected[owned], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("batch", [BATCH, 2])
@pytest.mark.parametrize("name", ["joint", "shards"])
def test_every_reducer_gives_what_the_textbook_gives(nodes, name, batch):
    _, expected = reduced(nodes, "allreduce", batch=batch)
    _, results = reduced(nodes, name, batch=batch)
    kept, _ = inside(nodes)
    for (sums, grad), (expected_sums, whole) in zip(results, expected, strict=True):
        assert_near(sums, expected_sums)
        assert not kept[len(grad) :].any()
        mine = kept[: len(grad)]
        np.testing.assert_allclose(grad[mine], whole[: len(grad)][mine], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shards_of_a_rank", [1, 2])
def test_shards_have_the_bits_of_the_textbook_where_both_add_in_the_same_order(nodes, shards_of_a_rank, dtype):
    if nodes.group.world_size > 2:
        pytest.skip("the MPI library has an order of its own")
    num_shards = nodes.group.world_size * shards_of_a_rank  # a + b, or (a + b) + (c + d)
    _, expected = reduced(nodes, "allreduce", num_shards=num_shards, dtype=dtype)
    _, results = reduced(nodes, "shards", num_shards=num_shards, dtype=dtype)
    for (sums, grad), (expected_sums, whole) in zip(results, expected, strict=True):
        assert sums == expected_sums
        assert grad.tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", REDUCERS)
def test_the_bits_are_the_same_on_every_node(nodes, name):
    _, results = reduced(nodes, name, dtype="float32")
    grads = b"".join(grad.tobytes() for _, grad in results)
    everywhere = nodes.group.allgather(([sums for sums, _ in results], len(nodes.here), nodes.node.rank, grads))
    assert all(sums == everywhere[0][0] for sums, *_ in everywhere)
    for _, node_size, place, seen in everywhere:
        if (node_size, place) == (len(nodes.here), nodes.node.rank):  # Then both own the same slice.
            assert seen == grads


@pytest.mark.parametrize("name", sorted({*REDUCERS} - {"allreduce"}))
def test_the_bits_are_the_same_every_time(nodes, name):
    # MPI's own sum may change its order: MPICH takes another algorithm after some calls.
    first, second = (reduced(nodes, name, dtype="float32")[1] for _ in range(2))
    assert [grad.tobytes() for _, grad in first] == [grad.tobytes() for _, grad in second]
    assert [sums for sums, _ in first] == [sums for sums, _ in second]
