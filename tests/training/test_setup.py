"""What a training computes with is the same on all ranks, wherever they run."""

import pytest
from threadpoolctl import threadpool_limits

from dpnet.comm.local import LocalGroup
from dpnet.compute import backend, threads
from dpnet.compute.backend import Libraries
from dpnet.compute.cores import usage
from dpnet.compute.loops.interface import Kernels
from dpnet.compute.products.choose import PRODUCTS
from dpnet.config.job import TrainConfig
from dpnet.environment import CROWDED
from dpnet.training.setup import choose_backend


class TwoNodes(LocalGroup):
    """This rank alone on its node, and another on a node whose machine suits other libraries."""

    world_size = 2

    def __init__(self, there):
        super().__init__()
        self._there = there

    @property
    def node(self):
        return LocalGroup()

    def allgather(self, value):
        return [value, self._there if isinstance(value, Libraries) else value]


@pytest.fixture(autouse=True)
def _threads_are_restored():
    with threadpool_limits():
        yield


@pytest.fixture
def made(monkeypatch):
    """Lets this machine choose oneDNN and numba, whether they are installed or not; the kernels that are then made."""
    monkeypatch.setattr(backend, "choose_products", lambda setting: "onednn")
    monkeypatch.setattr(backend, "choose_kernels", lambda name: Kernels("numba" if name == "auto" else name, None, {}))


@pytest.mark.parametrize("there", ["numpy", "mkl"])
def test_nodes_that_would_choose_different_products_all_take_numpys(monkeypatch, made, there):
    monkeypatch.setitem(PRODUCTS, "onednn", lambda num_threads: pytest.fail("oneDNN was taken"))
    chosen = choose_backend(TrainConfig(), TwoNodes(Libraries(there, "numba")))
    assert (chosen.products.name, chosen.kernels.name) == ("numpy", "numba")


def test_ranks_that_would_choose_different_kernels_all_take_numpys(monkeypatch, made):
    products = PRODUCTS["numpy"](1)
    monkeypatch.setitem(PRODUCTS, "onednn", lambda num_threads: products)
    chosen = choose_backend(TrainConfig(), TwoNodes(Libraries("onednn", "numpy")))
    assert chosen.products is products
    assert chosen.kernels.name == "numpy"


@pytest.mark.parametrize(
    ("crowded", "told"),
    [
        ({}, ""),
        ({"a": 3}, "note: on a: 3 ranks for only 2 cores: 2 ranks are faster, and learn the same\n"),
        (
            {"b": 3, "c": 4},
            "note: on b and 1 more host: 3 ranks for only 2 cores: 2 ranks are faster, and learn the same\n",
        ),
    ],
)
def test_the_hosts_that_have_more_ranks_than_cores_are_told_once(monkeypatch, capsys, crowded, told):
    def told_by(host):
        ranks = crowded.get(host, 1)
        text = threads.too_many(ranks, 1)
        return host, text and f"{text}: {threads.what_is_faster(ranks, 1)}"

    class Hosts(LocalGroup):
        def allgather(self, value):
            is_told = isinstance(value, tuple) and value[0] == self.host
            return [told_by(host) for host in "aabc"] if is_told else [value]

    monkeypatch.delenv(CROWDED, raising=False)
    monkeypatch.setattr(threads, "available_cores", lambda core_sets=(): 2)
    monkeypatch.setattr(threads, "cores_text", lambda core_sets=(): "2 cores")
    choose_backend(TrainConfig(threads=1), Hosts())
    assert capsys.readouterr().err == told


def test_what_dpnet_launch_has_told_is_not_told_again(monkeypatch, capsys):
    monkeypatch.setattr(threads, "available_cores", lambda core_sets=(): 2)
    monkeypatch.delenv(CROWDED, raising=False)
    choose_backend(TrainConfig(threads=3), LocalGroup())
    assert "note: 1 rank of 3 threads for only 2 cores" in capsys.readouterr().err
    monkeypatch.setenv(CROWDED, "1")
    choose_backend(TrainConfig(threads=3), LocalGroup())
    assert not capsys.readouterr().err


def test_nodes_that_choose_the_same_take_that(monkeypatch, made):
    products = PRODUCTS["numpy"](1)
    monkeypatch.setitem(PRODUCTS, "onednn", lambda num_threads: products)
    chosen = choose_backend(TrainConfig(), TwoNodes(Libraries("onednn", "numba")))
    assert chosen.products is products
    assert chosen.kernels.name == "numba"


@pytest.mark.parametrize(
    ("busy", "train", "told"),
    [
        ([0.9, 0.7], TrainConfig(blas="numpy"), True),
        ([0.1, 0.2], TrainConfig(blas="numpy"), False),
        ([], TrainConfig(blas="numpy"), False),
        ([0.9, 0.9], TrainConfig(blas="numpy", threads=2), False),  # As the user wants it.
        ([0.9, 0.9], TrainConfig(blas="numpy", reproducible_shards=2), False),  # One thread.
    ],
    ids=str,
)
def test_a_rank_of_several_threads_beside_other_programs_is_told_what_is_faster(monkeypatch, capsys, busy, train, told):
    monkeypatch.setattr(threads, "threads_from_user", lambda: 2)
    monkeypatch.setattr(usage, "busy_shares", lambda cores, seconds: busy)
    choose_backend(train, LocalGroup())
    text = capsys.readouterr().err
    expected = (
        "note: other programs use 80% of 2 cores; threads then wait for each other at every step: train.threads=1"
    )
    assert (expected in text) == told
    assert ("other programs" in text) == told
