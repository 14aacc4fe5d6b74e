"""A machine that is not ours alone is told as what it is, whoever takes its cores."""

import pytest

from dpnet.resilience.contention import contention
from dpnet.resilience.spent import Spent


def machine(*, others=0.0, stolen=0.0, lacked=0.0, throttled=0.0, ranks=2, cores=2):
    """Ten seconds of a machine: shares of its cores' time, and of the ranks' time."""
    used = 4.0  # Seconds of each rank.
    busy = used * ranks + others * 10 * cores
    first = Spent(
        elapsed=10,
        used=used,
        lacked=lacked * 10,
        busy=busy,
        stolen=stolen * 10 * cores,
        idle=max(0.0, 10 * cores - busy - stolen * 10 * cores),
        throttled=throttled * 10 * ranks,
    )
    return [first, *[Spent(elapsed=10, used=used, lacked=lacked * 10)] * (ranks - 1)]


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        (
            {"others": 0.6, "lacked": 0.3},
            "other programs use 60% of the 2 cores of vm: ranks wait for a core 30% of the time",
        ),
        ({"others": 0.6, "lacked": 0.02}, ""),  # There are cores to go round.
        ({"others": 0.05, "lacked": 0.2}, ""),
        ({"stolen": 0.3}, "the 2 cores of vm lose 30% of their time to the host of this virtual machine (steal)"),
        ({"stolen": 0.05}, ""),
        (
            {"throttled": 0.5},
            "a CPU quota stops the ranks on vm 50% of the time: start fewer ranks or threads",
        ),
        (
            {"throttled": 0.5, "others": 0.3, "lacked": 0.6},
            "a CPU quota stops the ranks on vm 50% of the time: start fewer ranks or threads",
        ),
        ({"lacked": 0.6, "ranks": 5}, "ranks wait for a core 60% of the time: 5 ranks on the 2 cores of vm"),
        ({"lacked": 0.2, "ranks": 5}, ""),
    ],
)
def test_who_takes_the_cores_is_told_with_how_much(shares, text):
    assert contention("vm", 2, machine(**shares)) == text


def test_the_writer_of_checkpoints_is_none_of_the_other_programs():
    writing = Spent(elapsed=10, used=9, helped=5, lacked=3, busy=13, idle=7)
    assert contention("vm", 2, [writing, Spent(elapsed=10, used=4, lacked=3)]).startswith("ranks wait for a core 30%")


def test_where_nothing_is_known_of_the_cores_nothing_is_told():
    assert contention("vm", 2, [Spent(elapsed=10, lacked=9)]) == ""
    assert contention("vm", 2, [Spent()]) == ""
