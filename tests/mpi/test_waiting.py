"""A rank that waits for another one leaves its core to whoever wants it, in any operation."""

import time

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.world import by_node
from dpnet.errors import SharedMemoryError

pytestmark = pytest.mark.mpi(min_size=2)

group = connect()
LATE_S = 0.2


def gathered_on_rank_0(group):
    part = np.zeros(1)
    whole = np.zeros(group.world_size) if group.rank == 0 else None
    group.gather_into(part, whole, [1] * group.world_size)


def sent_on(group):
    ahead, behind = (group.rank + 1) % group.world_size, (group.rank - 1) % group.world_size
    group.exchange([(ahead, np.zeros(3))], [(behind, np.zeros(3))])


OPERATIONS = {
    "barrier": lambda group: group.barrier(),
    "broadcast": lambda group: group.broadcast(0),
    "allgather": lambda group: group.allgather(0),
    "allgather_into": lambda group: group.allgather_into(np.zeros(group.world_size), [1] * group.world_size),
    "allreduce": lambda group: group.allreduce(np.zeros(3)),
    "gather_into": gathered_on_rank_0,
}


def core_seconds(group, operation):
    """Seconds of a core that this rank uses in an operation to which the last rank comes late."""
    group.barrier()
    used = time.thread_time()
    if group.rank == group.world_size - 1:
        time.sleep(LATE_S)
    operation(group)
    return time.thread_time() - used


@pytest.mark.parametrize("name", OPERATIONS)
def test_ranks_of_a_node_sleep_until_the_last_one_comes(name):
    assert core_seconds(group, OPERATIONS[name]) < LATE_S / 3


def test_messages_from_another_node_are_waited_for_asleep():
    assert core_seconds(by_node(group._comm, 1), sent_on) < LATE_S / 3


def test_ranks_that_cannot_share_memory_meet_all_the_same(monkeypatch):
    def refused(node):
        raise SharedMemoryError("no room", agreed=True)

    monkeypatch.setattr("dpnet.comm.mpi.SharedMemory", refused)
    others = by_node(group._comm, 2)
    for late in range(others.world_size):
        if others.rank == late:
            time.sleep(0.05)
        came = time.monotonic()  # The same clock for all processes of a host.
        others.node.barrier()
        others.barrier()
        went = time.monotonic()
        assert others.allgather(came)[late] <= went
