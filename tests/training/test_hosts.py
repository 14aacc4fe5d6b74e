"""What is told of hosts that differ."""

import pytest

from dpnet.comm.local import LocalGroup
from dpnet.training import hosts
from dpnet.training.hosts import apart, compare_hosts


@pytest.mark.parametrize(
    ("names", "times", "told"),
    [
        (["a", "b"], [100.0, 101.0], None),
        (["a", "a"], [100.0, 200.0], None),  # One clock: a rank was late.
        (["a", "b", "c"], [107.0, 100.0, 104.0], "the clock of a is 7 s ahead of that of b"),
        (["a", "b"], [100.0, 3700.0], "the clock of b is 3600 s ahead of that of a"),
    ],
)
def test_clocks_that_are_seconds_apart_are_told_with_their_hosts(names, times, told):
    assert [text[: len(told or "")] for text in apart(names, times)] == ([told] if told else [])


def test_one_host_reads_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(hosts, "sums_of_share", lambda *_: pytest.fail("data were read"))
    assert compare_hosts(LocalGroup(), {}, "data") == []


def test_threads_are_compared_only_where_bits_must_not_depend_on_them():
    def of_bits(threads, **named):
        blas = {"internal_api": "openblas", "version": "1", "architecture": "Zen", "num_threads": threads}
        numerics = {"numpy": "2", "products": "numpy", "products_version": None, "blas": [blas]}
        return hosts._of_bits(numerics, **named)

    assert of_bits(2, with_threads=False) == of_bits(4, with_threads=False)
    assert of_bits(2, with_threads=True) != of_bits(4, with_threads=True)
    assert of_bits(2, with_threads=True)["the library of matrix products"] == "numpy"
