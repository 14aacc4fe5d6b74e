"""The model against numbers that were worked out by hand, and against the choice that a training makes."""

import pytest
from helpers.jobs import make_job

from dpnet.comm.local import LocalGroup
from dpnet.comm.node_memory import PrivateMemory
from dpnet.comm.topology import Topology
from dpnet.compute.backend import NUMPY, make_backend
from dpnet.nn.layout import Layout
from dpnet.parallel import exchange, traffic
from dpnet.parallel.cost import Speeds
from dpnet.training.estimate.case import Case, Load
from dpnet.training.estimate.model import Network, Point, interpolated, outlook

WIDE = Layout((784, 2048, 2048, 10))
PARAMETERS = 5_825_536
"""784 x 2048 + 2048 + 2048 x 2048 + 2048 + 2048 x 10 + 10, rounded up to a multiple of 1024."""
GIGABIT = Network(125e6, 100e-6)
FLOPS = 50e9


def case(path, nodes, ranks=1, batch=512, **train):
    settings = {"train.global_batch_size": batch, **{f"train.{key}": value for key, value in train.items()}}
    job = make_job(path, settings)
    return Case(job.train, nodes, ranks, 10**6), job.model


def expected(path, nodes, ranks=1, *, network=GIGABIT, **train):
    one, model = case(path, nodes, ranks, **train)
    return outlook(one, model, WIDE, network, {one.load: Point(one.load.samples, 0.1, FLOPS)})


def test_one_node_exchanges_nothing(tmp_path):
    one = expected(tmp_path, 1, network=None)
    assert (one.step_s, one.samples_s, one.exchange.cost.bytes, one.travels) == (0.1, 5120, 0, "nothing")


def test_gradients_travel_as_a_ring(tmp_path):
    four = expected(tmp_path, 4, 2, exchange="gradients")
    sent = 2 * 3 / 4 * 4 * PARAMETERS
    assert four.exchange.cost.bytes == sent
    # All numbers are written, and added up, by the two ranks, at 2 GB/s each. There are messages to three nodes, twice.
    assert four.step_s == pytest.approx(0.1 + sent / 125e6 + 2 * 4 * PARAMETERS / 2 / 2e9 + 2 * (100e-6 + 2 * 50e-6))
    assert four.samples_s == pytest.approx(512 / four.step_s)
    assert four.travels == "gradients"


def test_in_bfloat16_half_of_the_bytes_travel_and_numbers_are_rounded(tmp_path):
    exact, rounded = expected(tmp_path, 2, exchange="gradients"), expected(tmp_path, 2, wire="bfloat16")
    sent = exact.exchange.cost.bytes
    assert rounded.exchange.cost.bytes == sent / 2
    assert exact.step_s - rounded.step_s == pytest.approx(sent / 2 / 125e6 - 3 * 4 * PARAMETERS / 2e9)
    assert rounded.exchange.ways is None


def test_recomputed_factors_take_the_products_of_the_other_nodes_rows(tmp_path):
    two = expected(tmp_path, 2, exchange="recompute")
    # Forward through two layers, back through two, and three gradients, for the 256 rows of the other node.
    hidden, first, last = (2 * 256 * inputs * outputs for inputs, outputs in ((2048, 2048), (784, 2048), (2048, 10)))
    operations = (first + hidden) + (last + hidden) + (first + hidden + last)
    sent = 4 * 10 * (256 + 1)  # The rows of d loss / d logits, and the gradient of the last bias.
    assert two.exchange.cost.bytes == sent
    copied = (4 * 256 * 784 + 2 * sent) / 2e9
    assert two.step_s == pytest.approx(0.1 + operations / FLOPS + sent / 125e6 + copied + 100e-6)
    assert two.travels == "recompute"


@pytest.mark.parametrize("shards", [5, 8, 64])
def test_sums_in_a_fixed_order_take_the_bytes_that_a_training_tells(tmp_path, shards):
    one, _ = case(tmp_path, 3, reproducible_shards=shards)
    told = traffic.of_plan(one.plan, one.of_nodes, WIDE, "float32")
    assert expected(tmp_path, 3, reproducible_shards=shards).exchange.cost.bytes == max(map(max, told))


def test_workers_exchange_every_few_steps(tmp_path):
    often, seldom = (expected(tmp_path, 2, workers=2, sync_every=every) for every in (1, 16))
    assert often.exchange.cost.bytes == 4 * PARAMETERS == 16 * seldom.exchange.cost.bytes
    assert often.exchange.cost.seconds == pytest.approx(16 * seldom.exchange.cost.seconds)
    assert seldom.travels == "parameters"


SLOW, FAST = Network(1e6, 1e-4), Network(12e9, 2e-6)


@pytest.mark.parametrize("setting", ["auto", "gradients", "factors", "recompute"])
@pytest.mark.parametrize("network", [SLOW, GIGABIT, FAST], ids=["slow", "1gbit", "fast"])
@pytest.mark.parametrize(("nodes", "ranks", "batch"), [(2, 1, 64), (2, 4, 4096), (8, 2, 512), (64, 1, 65536)])
def test_what_is_expected_to_travel_is_what_a_training_chooses(
    tmp_path, monkeypatch, setting, network, nodes, ranks, batch
):
    one, model = case(tmp_path, nodes, ranks, batch=batch, exchange=setting)
    monkeypatch.setattr(exchange, "measure", lambda *_: Speeds(*network, FLOPS))
    alone = LocalGroup()
    where = Topology(
        alone, alone, PrivateMemory(), [range(first, first + ranks) for first in range(0, nodes * ranks, ranks)]
    )
    backend = make_backend(NUMPY, 1)
    chosen = exchange.choose_exchange(setting, where, WIDE, "float32", True, one.plan.max_rows(), backend)
    found = outlook(one, model, WIDE, network, {one.load: Point(one.load.samples, 0.1, FLOPS)})
    assert (found.exchange.ways, found.exchange.cost) == (chosen.ways, chosen.cost)


def test_on_a_slow_network_all_is_computed_and_large_batches_send_gradients(tmp_path):
    assert expected(tmp_path, 2, network=SLOW).travels == "recompute"
    assert expected(tmp_path, 2, exchange="factors").travels == "factors"
    assert expected(tmp_path, 64, batch=65536, network=FAST).travels == "gradients"


def test_between_two_points_time_is_linear_and_beyond_them_constant():
    points = {Load(False, 0, at): Point(at, seconds, 1e9 * at) for at, seconds in ((100, 3.0), (20, 1.0))}
    other = {Load(True, 2, 60): Point(60, 77.0, 1.0), Load(False, 6, 60): Point(60, 88.0, 1.0)}
    for samples, seconds in ((20, 1.0), (60, 2.0), (100, 3.0), (10, 1.0)):
        assert interpolated(points | other, Load(False, 0, samples)).step_s == pytest.approx(seconds)
    assert interpolated(points | other, Load(False, 0, 60)).flops == pytest.approx(60e9)
    assert interpolated(points | other, Load(True, 2, 60)).step_s == 77.0
