"""The barrier of a node: ranks meet, who waits long sleeps, and whatever happens meanwhile is noticed."""

import mmap
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.night import times

from dpnet.comm import futex, node_barrier
from dpnet.comm.node_barrier import LINE, ROUND, NodeBarrier, words

TIMEOUT_S = 60
HOWS = {
    "spins": {"SPIN_S": 1e3},
    "yields": {"SPIN_S": 0, "YIELD_S": 1e3, "TAKEN_S": 1e3},
    "sleeps": {"SPIN_S": 0, "YIELD_S": 0, "CHECK_EVERY_S": 1e3},
    "as it is": {},
}

RANK = """
import mmap, random, sys, time
import numpy as np
from dpnet.comm import futex, node_barrier

path, rank, size, rounds, first, cores, changes, has_futex = sys.argv[1:]
rank, size, rounds, first, cores = map(int, (rank, size, rounds, first, cores))
for name, value in eval(changes).items():
    setattr(node_barrier, name, value)
if has_futex == "False":
    futex._CALL = None
with open(path, "r+b") as file:
    memory = mmap.mmap(file.fileno(), 0)
length = 4 * node_barrier.words(size)
barrier = node_barrier.NodeBarrier(np.frombuffer(memory, np.int32, length // 4), rank, size, lambda: None, cores)
barrier._number = first
table = np.frombuffer(memory, np.int64, offset=length)[:size]
chance = random.Random(rank)
for number in range(1, rounds + 1):
    if chance.random() < 0.1:
        time.sleep(chance.random() * 0.002)
    table[rank] = number
    barrier.wait()
    assert table.tolist() == [number] * size, (number, table.tolist())
    barrier.wait()
print(time.process_time())
"""


def shared_file(folder, size, first=0):
    """The memory of a barrier and of a row of int64; the barrier has the number `first`."""
    path = folder / "memory"
    memory = np.zeros(words(size) + 2 * LINE, np.int32)
    memory[: words(size)][::LINE] = first
    path.write_bytes(memory.tobytes())
    return path


def run(folder, size, rounds, *, changes=HOWS["as it is"], first=0, has_futex=True, cores=9):
    path = shared_file(folder, size, first)
    command = [sys.executable, "-c", RANK, str(path)]
    ranks = [
        subprocess.Popen(
            [*command, *map(str, (rank, size, rounds, first, cores, changes, has_futex))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        texts = [rank.communicate(timeout=TIMEOUT_S)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * size, "\n".join(texts)


@pytest.mark.parametrize("how", HOWS)
def test_no_rank_goes_on_before_all_have_come(tmp_path, how):
    run(
        tmp_path,
        3,
        {"spins": 10, "sleeps": times("DPNET_TEST_SLEEPS", day=1000, night=10000)}.get(how, 100),
        changes=HOWS[how],
    )


def test_more_ranks_than_cores_meet(tmp_path):
    run(tmp_path, 6, 50, cores=2)


def test_who_releases_wakes_only_those_who_sleep(monkeypatch):
    calls = []
    memory, barrier = of_this_rank(2)
    monkeypatch.setattr(barrier._futex, "wake", lambda: calls.append(barrier._number))
    come(memory, 1)
    barrier.wait()
    memory[LINE * 2 + 1] = 2  # Rank 1 sleeps.
    come(memory, 1, 2)
    barrier.wait()
    assert calls == ([2] if barrier._sleepers_tell else [1, 2])


def test_sleepers_are_woken_where_a_memory_barrier_of_others_is_refused(monkeypatch):
    monkeypatch.setattr(node_barrier, "join_barriers", lambda: False)
    calls = []
    memory, barrier = of_this_rank(2)
    monkeypatch.setattr(barrier._futex, "wake", lambda: calls.append(barrier._number))
    come(memory, 1)
    barrier.wait()
    assert calls == [1]


def test_ranks_meet_where_there_is_no_futex(tmp_path):
    run(tmp_path, 2, 20, has_futex=False)


def test_numbers_go_round(tmp_path):
    run(tmp_path, 2, 20, first=ROUND - 11)


def of_this_rank(size, check=lambda: None, cores=None):
    """The memory of a barrier, and rank 0's barrier."""
    memory = np.frombuffer(mmap.mmap(-1, 4 * words(size)), np.int32)
    return memory, NodeBarrier(memory, 0, size, check, cores)


def come(memory, rank, number=1):
    """Store, as another rank, that it has come."""
    memory[LINE * (1 + rank)] = number


@pytest.fixture(autouse=True)
def old_handler():
    old = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


def after(seconds, work):
    """Do some work later, in this thread, by a signal: the barrier is asleep by then."""
    signal.signal(signal.SIGALRM, lambda *_: work())
    signal.setitimer(signal.ITIMER_REAL, seconds)


def once_asleep(barrier, number, work):
    """Do some work once rank 0 sleeps at its barrier of this number, however late that is."""

    def look():
        if barrier._asleep[0] == number:
            work()
        else:
            after(0.01, look)

    after(0.01, look)


def test_a_rank_that_waits_long_takes_no_core():
    looks = []
    memory, barrier = of_this_rank(2, lambda: looks.append(0))
    after(1.0, lambda: come(memory, 1))
    begin, used = time.monotonic(), time.thread_time()
    barrier.wait()
    seconds = time.monotonic() - begin
    assert seconds > 0.9
    assert time.thread_time() - used < 0.3
    assert len(looks) <= seconds / node_barrier.CHECK_EVERY_S + 1  # On a busy machine nobody gets much of a core.


def test_a_signal_is_handled_while_a_rank_sleeps(monkeypatch):
    monkeypatch.setattr(node_barrier, "CHECK_EVERY_S", 1000)

    class Interrupted(Exception):
        pass

    def interrupt():
        raise Interrupted

    _, barrier = of_this_rank(2)
    after(0.3, interrupt)
    begin = time.monotonic()
    with pytest.raises(Interrupted):
        barrier.wait()
    assert time.monotonic() - begin < TIMEOUT_S


def test_a_lost_rank_ends_the_wait():
    class Lost(Exception):
        pass

    begin, calls = time.monotonic(), []

    def check():
        calls.append(time.monotonic())
        if len(calls) == 3:
            raise Lost

    memory, barrier = of_this_rank(3, check)
    come(memory, 2)  # Rank 1 never does.
    with pytest.raises(Lost):
        barrier.wait()
    assert len(calls) == 3
    assert calls[-1] - begin < TIMEOUT_S / 2


def test_a_rank_that_dies_before_it_releases_the_others_does_not_keep_them():
    memory, barrier = of_this_rank(3)
    come(memory, 1)
    after(0.3, lambda: come(memory, 2))  # All have come, and nobody releases.
    barrier.wait()
    assert memory[0] == 1


def test_the_rank_that_comes_last_does_not_wait(monkeypatch):
    memory, barrier = of_this_rank(3)
    monkeypatch.setattr(barrier, "_spin", None)
    for number in (1, 2):
        come(memory, 1, number)
        come(memory, 2, number)
        barrier.wait()
        assert memory[0] == number


def test_a_rank_spins_less_where_spinning_did_not_help():
    memory, barrier = of_this_rank(2)
    for number in (1, 2, 3):
        once_asleep(barrier, number, lambda number=number: come(memory, 1, number))
        barrier.wait()
    assert barrier._spin_s == pytest.approx(node_barrier.SPIN_S / 8)
    barrier._released[0] = 4  # Before it looks.
    barrier._arrived[1] = 3
    barrier._number = 3
    barrier.wait()
    assert barrier._spin_s == node_barrier.SPIN_S


@pytest.mark.parametrize(("cores", "yields"), [(None, False), (2, False), (1, True)])
def test_a_core_that_another_rank_takes_is_yielded_again(monkeypatch, cores, yields):
    monkeypatch.setattr(node_barrier, "CROWDED_TAKEN_S", 10)
    monkeypatch.setattr(node_barrier, "YIELD_S", 10)
    memory, barrier = of_this_rank(2, cores=cores)
    calls = []

    def other_runs():
        calls.append(0)
        time.sleep(node_barrier.TAKEN_S)
        if len(calls) == 3:
            come(memory, 1)

    monkeypatch.setattr(node_barrier.os, "sched_yield", other_runs)
    after(0.2, lambda: come(memory, 1))
    barrier.wait()
    assert len(calls) == (3 if yields else 1)


def test_a_fence_is_needed_where_stores_may_overtake_one_another(monkeypatch):
    monkeypatch.setattr(node_barrier.platform, "machine", lambda: "aarch64")
    memory, barrier = of_this_rank(2)
    seen = []
    barrier._fence = lambda: seen.append((int(memory[LINE]), int(memory[0])))
    come(memory, 1)
    barrier.wait()
    assert seen == [(0, 0), (1, 1)]  # Before it tells that it has come, and after it has seen the others.


@pytest.mark.skipif(futex._CALL is None, reason="no futex on this machine")
def test_a_sleep_ends_at_a_signal_and_at_its_limit():
    memory = np.frombuffer(mmap.mmap(-1, 4096), np.int32)
    word = futex.Futex(memory.data[:1])
    word.wait(1, 1000)  # The word has another value: no sleep at all.
    after(0.2, lambda: None)
    begin = time.monotonic()
    word.wait(0, 1000)
    assert 0.1 < time.monotonic() - begin < TIMEOUT_S
    begin = time.monotonic()
    word.wait(0, 0.05)
    assert time.monotonic() - begin > 0.04
