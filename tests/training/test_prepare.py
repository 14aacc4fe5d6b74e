"""What a training computes with is the same on all ranks, wherever they run."""

import pytest
from threadpoolctl import threadpool_limits

from dpnet.comm.local import LocalGroup
from dpnet.compute.products.choose import PRODUCTS
from dpnet.config.job import TrainConfig
from dpnet.training import prepare


class TwoNodes(LocalGroup):
    """This rank alone on its node, and another on a node whose processor suits another library of matrix products."""

    world_size = 2

    def __init__(self, there):
        super().__init__()
        self._there = there

    @property
    def node(self):
        return LocalGroup()

    def allgather(self, value):
        return [value, self._there if isinstance(value, str) and value in PRODUCTS else value]


@pytest.fixture(autouse=True)
def _threads_are_restored():
    with threadpool_limits():
        yield


@pytest.mark.parametrize(("here", "there"), [("onednn", "numpy"), ("onednn", "mkl"), ("mkl", "numpy")])
def test_nodes_that_would_choose_different_products_all_take_numpys(monkeypatch, here, there):
    monkeypatch.setattr(prepare, "choose_products", lambda setting: here)
    monkeypatch.setitem(PRODUCTS, here, lambda num_threads: pytest.fail(f"{here} was taken"))
    assert prepare.choose_backend(TrainConfig(blas="auto"), TwoNodes(there)).products.name == "numpy"


def test_nodes_that_choose_the_same_products_take_those(monkeypatch):
    chosen = PRODUCTS["numpy"](1)
    monkeypatch.setattr(prepare, "choose_products", lambda setting: "onednn")
    monkeypatch.setitem(PRODUCTS, "onednn", lambda num_threads: chosen)
    assert prepare.choose_backend(TrainConfig(blas="auto"), TwoNodes("onednn")).products is chosen
