"""The group's operations on every number of ranks."""

import itertools

import numpy as np
import pytest

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.connect import connect
from dpnet.errors import DataError, DpnetError

pytestmark = pytest.mark.mpi

group = connect()
RANK, SIZE = group.rank, group.world_size


def offsets(counts):
    return np.concatenate([[0], np.cumsum(counts)]).astype(int)


def slices(counts):
    starts = offsets(counts)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(starts)]


def test_the_ranks_are_numbered():
    assert group.allgather(RANK) == list(range(SIZE))
    assert 0 <= group.local_rank < group.local_world_size <= SIZE
    assert sum(1 for host in group.allgather(group.host) if host == group.host) == group.local_world_size


def test_broadcast_brings_the_object_of_rank_0():
    assert group.broadcast({"from": RANK}) == {"from": 0}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_allgather_into_completes_uneven_parts(dtype):
    counts = [rank * 3 for rank in range(SIZE)]  # Rank 0 has none.
    expected = np.arange(sum(counts), dtype=dtype)
    vector = np.full(sum(counts), -1, dtype=dtype)
    mine = slices(counts)[RANK]
    vector[mine] = expected[mine]
    group.allgather_into(vector, counts)
    assert vector.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gather_into_fills_rank_0_only(dtype):
    counts = [(rank + 1) % 3 for rank in range(SIZE)]
    part = np.full(counts[RANK], RANK, dtype=dtype)
    whole = np.full(sum(counts), -1, dtype=dtype) if RANK == 0 else None
    group.gather_into(part, whole, counts)
    if RANK == 0:
        assert whole.tolist() == [rank for rank, count in enumerate(counts) for _ in range(count)]


def test_exchange_sends_each_rank_its_piece():
    lengths = [rank + 1 for rank in range(SIZE)]  # Every rank sends rank r r + 1 elements.
    send = np.concatenate([np.full(n, 10 * RANK + to, dtype=np.float32) for to, n in enumerate(lengths)])
    received = np.zeros(SIZE * lengths[RANK], dtype=np.float32)
    group.exchange(send, slices(lengths), received, slices([lengths[RANK]] * SIZE))
    assert received.tolist() == [10 * rank + RANK for rank in range(SIZE) for _ in range(lengths[RANK])]


def test_exchange_leaves_out_empty_pieces():
    send = np.arange(SIZE, dtype=np.float64) + 100 * RANK
    nothing_to_self = [slice(to, to + (to != RANK)) for to in range(SIZE)]
    received = np.full(SIZE, -1.0)
    places = [slice(source, source + (source != RANK)) for source in range(SIZE)]
    group.exchange(send, nothing_to_self, received, places)
    assert received.tolist() == [-1 if source == RANK else 100 * source + RANK for source in range(SIZE)]


def test_work_of_rank_0_is_shared():
    calls = []
    assert on_root(group, lambda: calls.append(1) or "done") == "done"
    assert len(calls) == (RANK == 0)


def test_an_error_of_rank_0_is_raised_by_all():
    def work():
        raise DataError("no such file")

    with pytest.raises(DataError, match="no such file") as caught:
        on_root(group, work)
    assert caught.value.agreed


@pytest.mark.parametrize("failing", range(4))
def test_an_error_of_any_rank_is_raised_by_all_and_names_the_rank(failing):
    failing %= SIZE

    def work():
        if failing == RANK:
            raise DataError("row 7 is damaged")
        return RANK

    with pytest.raises(DpnetError, match="row 7 is damaged") as caught:
        everywhere(group, work)
    assert caught.value.agreed
    assert SIZE == 1 or f"(rank {failing}, {group.host})" in str(caught.value)


def test_work_that_succeeds_everywhere_returns_its_own_result():
    assert everywhere(group, lambda: RANK * 2) == RANK * 2
