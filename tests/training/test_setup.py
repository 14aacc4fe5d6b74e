"""What a training computes with is the same on all ranks, wherever they run."""

import pytest
from threadpoolctl import threadpool_limits

from dpnet.comm.local import LocalGroup
from dpnet.compute import backend, threads
from dpnet.compute.backend import Libraries
from dpnet.compute.cores import usage
from dpnet.compute.fingerprint import fingerprint
from dpnet.compute.loops.interface import Kernels
from dpnet.compute.products.choose import PRODUCTS
from dpnet.config.train import TrainConfig
from dpnet.environment import CROWDED
from dpnet.training.setup import choose_backend

WIDTHS = (64, 256, 10)


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
    chosen = choose_backend(TrainConfig(), TwoNodes(Libraries(there, "numba")), WIDTHS)
    assert (chosen.products.name, chosen.kernels.name) == ("numpy", "numba")


def test_ranks_that_would_choose_different_kernels_all_take_numpys(monkeypatch, made):
    products = PRODUCTS["numpy"](1)
    monkeypatch.setitem(PRODUCTS, "onednn", lambda num_threads: products)
    chosen = choose_backend(TrainConfig(), TwoNodes(Libraries("onednn", "numpy")), WIDTHS)
    assert chosen.products is products
    assert chosen.kernels.name == "numpy"


@pytest.mark.parametrize(
    ("crowded", "told"),
    [
        ({}, ""),
        ({"a": 3}, "note: on a: 3 ranks for only 2 cores: 2 ranks are faster, with the same result\n"),
        (
            {"b": 3, "c": 4},
            "note: on b and 1 more host: 3 ranks for only 2 cores: 2 ranks are faster, with the same result\n",
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
    choose_backend(TrainConfig(threads=1), Hosts(), WIDTHS)
    assert capsys.readouterr().err == told


def test_what_dpnet_launch_has_told_is_not_told_again(monkeypatch, capsys):
    monkeypatch.setattr(threads, "available_cores", lambda core_sets=(): 2)
    monkeypatch.delenv(CROWDED, raising=False)
    choose_backend(TrainConfig(threads=3), LocalGroup(), WIDTHS)
    assert "note: 1 rank of 3 threads for only 2 cores" in capsys.readouterr().err
    monkeypatch.setenv(CROWDED, "1")
    choose_backend(TrainConfig(threads=3), LocalGroup(), WIDTHS)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("train", "by_user", "expected"),
    [
        (TrainConfig(blas="numpy"), 0, 1),
        (TrainConfig(blas="numpy", threads=2), 0, 2),
        (TrainConfig(blas="numpy"), 2, 2),
        (TrainConfig(blas="numpy", global_batch_size=10_000), 0, 2),
    ],
    ids=str,
)
def test_a_small_network_is_trained_by_one_thread_of_numpys_unless_the_user_wants_more(
    monkeypatch, train, by_user, expected
):
    monkeypatch.setattr(threads, "available_cores", lambda core_sets=(): 2)
    monkeypatch.setattr(threads, "threads_from_user", lambda: by_user)
    monkeypatch.setattr(usage, "busy_shares", lambda cores, seconds: [])
    chosen = choose_backend(train, LocalGroup(), WIDTHS)
    # Other libraries may be loaded, too.
    of_numpy = {library["num_threads"] for library in fingerprint("numpy")["blas"]}
    assert (chosen.threads, of_numpy) == (expected, {expected})


def test_nodes_that_choose_the_same_take_that(monkeypatch, made):
    products = PRODUCTS["numpy"](1)
    monkeypatch.setitem(PRODUCTS, "onednn", lambda num_threads: products)
    chosen = choose_backend(TrainConfig(), TwoNodes(Libraries("onednn", "numba")), WIDTHS)
    assert chosen.products is products
    assert chosen.kernels.name == "numba"
