"""The exchange of factors between nodes: the bits of the exchange of gradients, in all its ways."""

import functools
import hashlib

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.world import by_node
from dpnet.compute.backend import plain_backend
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.parallel import exchange, ways
from dpnet.parallel.factors import FactorExchange
from dpnet.parallel.ways import Way, Ways
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

pytestmark = pytest.mark.mpi

DRAW = np.random.default_rng(1)
INPUTS = DRAW.standard_normal((50, 30))
WEIGHTS = DRAW.integers(0, 4, 50) / 2
SOURCE = DataSource("random", make_split(INPUTS, np.arange(50) % 3, "x", "y", weights=WEIGHTS), None)
STEPS = 7  # The batches have 11 samples, the fifth has 6.
EXCHANGES = ["factors", "recompute", "auto"]


@pytest.fixture(autouse=True)
def _measured_briefly(monkeypatch):
    monkeypatch.setattr(exchange, "LONG_ENOUGH_S", 1e-3)


@functools.cache
def group_of(ranks_per_node):
    return by_node(connect()._comm, ranks_per_node) if connect().world_size > 1 else connect()


def trained(ranks_per_node, setting, *, hidden=(70, 9, 9, 5), batch=11, **model):
    """The digest of the parameters after some steps, which all ranks see, and the trainer."""
    job = from_dict(
        {
            "model": {"hidden_layers": list(hidden), **model},
            "train": {"global_batch_size": batch, "steps": STEPS, "exchange": setting, "reducer": "joint"},
            "optimizer": {"name": "sgd", "momentum": 0.9, "learning_rate": 0.1, "clip_norm": 0.5},
        },
        where="test",
    )
    group = group_of(ranks_per_node)
    parts = build_parts(prepare(job, group, SOURCE, backend=plain_backend(), scaling=UNSCALED), SOURCE)
    for step in range(STEPS):
        parts.trainer.step(step)
    digests = set(group.allgather(hashlib.sha256(np.array(parts.state.params).tobytes()).hexdigest()))
    assert len(digests) == 1
    return digests.pop(), parts


def exchanges_factors(parts):
    return isinstance(parts.trainer.exchange, FactorExchange)


@functools.cache
def with_gradients(ranks_per_node, **settings):
    digest, parts = trained(ranks_per_node, "gradients", **settings)
    assert not exchanges_factors(parts)
    return digest


def check(ranks_per_node, setting, **settings):
    digest, parts = trained(ranks_per_node, setting, **settings)
    world_size = connect().world_size
    alike = world_size % ranks_per_node == 0 and world_size > ranks_per_node
    if setting != "auto" or not alike:
        assert exchanges_factors(parts) == alike, parts.exchange.text
    assert digest == with_gradients(ranks_per_node, **settings)


@pytest.mark.parametrize("setting", EXCHANGES)
@pytest.mark.parametrize("ranks_per_node", [1, 2])
@pytest.mark.parametrize(("activation", "dtype"), [("relu", "float32"), ("relu", "float64"), ("tanh", "float32")])
def test_the_bits_are_those_of_gradients(ranks_per_node, setting, activation, dtype):
    check(ranks_per_node, setting, activation=activation, dtype=dtype)


@pytest.mark.parametrize("setting", EXCHANGES)
@pytest.mark.parametrize("freeze", [("0",), ("2",), ("0", "2", "4"), ("8",), ("2", "6")])
def test_layers_may_be_frozen(setting, freeze, monkeypatch):
    monkeypatch.setattr(ways, "EARLY_BYTES", 200)
    check(1, setting, freeze=freeze)


@pytest.mark.parametrize("setting", EXCHANGES)
def test_a_network_without_hidden_layers_has_only_its_outputs_to_send(setting):
    check(1, setting, hidden=())


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("number", range(9))
def test_any_mixture_of_what_is_sent_and_computed_has_the_same_bits(number, at_once, monkeypatch):
    if at_once:  # Every array leaves as soon as it is complete.
        monkeypatch.setattr(ways, "EARLY_BYTES", 1)
    draw = np.random.default_rng(number)

    def mixed(shape, speeds=None):
        ways = [Way.RECEIVED, Way.COMPUTED]
        layers = len(shape.layout.sizes) - 1
        x = [Way.COMPUTED, *(ways[draw.integers(2)] for _ in range(layers - 1))]
        return Ways(tuple(x), tuple([*(ways[draw.integers(2)] for _ in range(layers - 1)), Way.RECEIVED]), True)

    monkeypatch.setattr(exchange.cost, "all_received", mixed)
    check(1 + number % 2, "factors")


def test_fewer_samples_than_ranks_are_no_obstacle():
    for setting in EXCHANGES:
        check(1, setting, batch=2)


def test_nodes_that_compute_otherwise_exchange_gradients(monkeypatch):
    rank = connect().rank
    monkeypatch.setattr(exchange, "fingerprint", lambda products: {"processor": rank // 2})
    digest, parts = trained(1, "factors")
    assert digest == with_gradients(1)
    if connect().world_size > 2:
        assert not exchanges_factors(parts)
        assert (
            parts.exchange.text == "gradients, as nodes compute with other libraries, processors or numbers of threads"
        )
