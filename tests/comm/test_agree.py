"""Errors that all ranks raise together, with threads in the place of ranks; and the world of one rank."""

import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from dpnet.comm.agree import everywhere, on_root, on_root_asleep, until_root
from dpnet.comm.connect import connect
from dpnet.comm.local import LocalGroup
from dpnet.errors import CheckpointError, ConfigError, DataError, DpnetError

TIMEOUT_S = 60


class ThreadGroup:
    """One of several ranks that are threads of this process; a rank that waits for ever raises BrokenBarrierError."""

    def __init__(self, rank, shared):
        self.rank, self.world_size, self.host = rank, len(shared["values"]), f"host{rank}"
        self._shared = shared

    def allgather(self, value):
        self._shared["values"][self.rank] = value
        self._shared["barrier"].wait()
        values = pickle.loads(pickle.dumps(self._shared["values"]))  # Copies, as messages are.
        self._shared["barrier"].wait()
        return values

    def broadcast(self, value):
        return self.allgather(value)[0]


def play(world_size, work):
    """What `work(group)` returns or raises on each rank."""
    shared = {"values": [None] * world_size, "barrier": threading.Barrier(world_size, timeout=TIMEOUT_S)}
    outcomes = [None] * world_size

    def rank(number):
        try:
            outcomes[number] = work(ThreadGroup(number, shared))
        except BaseException as error:
            outcomes[number] = error
            if not isinstance(error, DpnetError):
                shared["barrier"].abort()

    ranks = [threading.Thread(target=rank, args=(number,)) for number in range(world_size)]
    for thread in ranks:
        thread.start()
    for thread in ranks:
        thread.join()
    return outcomes


def failing(ranks, group, kind=DataError):
    if group.rank in ranks:
        raise kind(f"seen on {group.rank}")
    return group.rank * 10


@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_all_get_their_own_result_or_that_of_rank_0(world_size):
    assert play(world_size, lambda group: everywhere(group, lambda: failing([], group))) == [
        10 * rank for rank in range(world_size)
    ]
    calls = []
    assert play(world_size, lambda group: on_root(group, lambda: calls.append(group.rank))) == [None] * world_size
    assert calls == [0]


@pytest.mark.parametrize("kind", [DataError, ConfigError, CheckpointError])
def test_an_error_of_rank_0_is_raised_by_all(kind):
    errors = play(3, lambda group: on_root(group, lambda: failing([0], group, kind)))
    assert [(type(error), str(error), error.agreed) for error in errors] == [(kind, "seen on 0", True)] * 3


@pytest.mark.parametrize("ranks", [[1], [2], [1, 2]])
def test_an_error_of_some_ranks_is_raised_by_all_and_names_the_first(ranks):
    errors = play(3, lambda group: everywhere(group, lambda: failing(ranks, group)))
    expected = f"seen on {ranks[0]} (rank {ranks[0]}, host{ranks[0]})"
    assert [(type(error), str(error), error.agreed) for error in errors] == [(DataError, expected, True)] * 3


def test_an_error_of_all_ranks_names_none():
    def work(group):
        return everywhere(group, lambda: failing(range(3), group))

    assert [str(error) for error in play(3, work)] == ["seen on 0"] * 3
    assert [str(error) for error in play(1, lambda group: everywhere(group, lambda: failing([0], group)))] == [
        "seen on 0"
    ]


@pytest.mark.parametrize("function", [on_root, everywhere])
def test_a_fault_of_dpnet_stays_where_it_is(function):
    errors = play(2, lambda group: function(group, lambda: 1 // 0 if group.rank == 0 else 1))
    assert isinstance(errors[0], ZeroDivisionError)
    assert isinstance(errors[1], threading.BrokenBarrierError)  # Under MPI the exception hook ends it.


def test_all_wait_until_rank_0_has_what_they_wait_for():
    looks = iter([False, False, True])
    assert play(3, lambda group: until_root(group, lambda: next(looks))) == [None] * 3
    assert list(looks) == []


def test_an_error_of_rank_0_ends_the_wait_of_all():
    errors = play(3, lambda group: until_root(group, lambda: failing([0], group)))
    assert [str(error) for error in errors] == ["seen on 0"] * 3
    assert all(error.agreed for error in errors)


def test_all_sleep_while_rank_0_works_and_get_its_result_or_error():
    told = []

    def work():
        time.sleep(0.1)
        return "done"

    assert play(3, lambda group: on_root_asleep(group, work, lambda: told.append(group.rank))) == ["done"] * 3
    assert set(told) == {0}
    errors = play(3, lambda group: on_root_asleep(group, lambda: failing([0], group), lambda: None))
    assert [str(error) for error in errors] == ["seen on 0"] * 3


def test_work_that_takes_too_long_is_left_alone():
    over = threading.Event()
    errors = play(2, lambda group: on_root_asleep(group, over.wait, lambda: failing([0], group)))
    assert [str(error) for error in errors] == ["seen on 0"] * 2
    assert not over.is_set()
    over.set()


def test_an_error_is_not_agreed_before_all_have_it():
    assert not DataError("mine").agreed


def test_one_rank_has_nobody_to_wait_for():
    group = LocalGroup()
    assert (group.rank, group.world_size, group.node) == (0, 1, group)
    assert group.host
    group.barrier()
    assert group.broadcast("x") == "x"
    assert group.allgather("x") == ["x"]
    vector, whole, received = np.arange(4.0), np.zeros(4), np.zeros(3)
    group.allgather_into(vector, [4])
    assert vector.tolist() == [0, 1, 2, 3]
    group.gather_into(vector[:2], whole, [2])
    assert whole.tolist() == [0, 1, 0, 0]
    group.exchange([(0, vector[1:3])], [(0, received[:2])])
    assert received.tolist() == [1, 2, 0]


def test_abort_ends_the_process_with_what_it_printed():
    code = "from dpnet.comm.local import LocalGroup\nprint('said')\ntry: LocalGroup().abort(3)\nfinally: print('never')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (3, "said\n")


def test_without_a_launcher_there_is_one_rank_and_no_mpi(monkeypatch):
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "mpi4py", None)  # An import of it fails.
    monkeypatch.delitem(sys.modules, "dpnet.comm.mpi", raising=False)
    assert isinstance(connect(), LocalGroup)
