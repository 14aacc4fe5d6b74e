"""The group's operations on every number of ranks."""

import itertools

import numpy as np
import pytest

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.connect import connect
from dpnet.comm.world import by_node
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
    assert 0 <= group.node.rank < group.node.world_size <= SIZE
    assert sum(1 for host in group.allgather(group.host) if host == group.host) == group.node.world_size


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
@pytest.mark.parametrize("size", [1, 3, 5000])
def test_allreduce_leaves_the_sum_on_every_rank(size, dtype):
    terms = [np.random.default_rng(rank).standard_normal(size).astype(dtype) for rank in range(SIZE)]
    vector = terms[RANK].copy()
    group.allreduce(vector)
    np.testing.assert_allclose(vector, np.sum(terms, axis=0), rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-6)
    assert len(set(group.allgather(vector.tobytes()))) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gather_into_fills_rank_0_only(dtype):
    counts = [(rank + 1) % 3 for rank in range(SIZE)]
    part = np.full(counts[RANK], RANK, dtype=dtype)
    whole = np.full(sum(counts), -1, dtype=dtype) if RANK == 0 else None
    group.gather_into(part, whole, counts)
    if RANK == 0:
        assert whole.tolist() == [rank for rank, count in enumerate(counts) for _ in range(count)]


def test_exchange_brings_each_vector_to_its_place():
    # Every rank sends rank r r + 1 elements, then one more vector of two.
    sends = [(to, np.full(to + 1, 10 * RANK + to, np.float32)) for to in range(SIZE)]
    sends += [(to, np.full(2, -RANK, np.float32)) for to in range(SIZE)]
    received = np.zeros((SIZE, RANK + 3), np.float32)
    receives = [(source, received[source, : RANK + 1]) for source in range(SIZE)]
    receives += [(source, received[source, RANK + 1 :]) for source in range(SIZE)]
    group.exchange(sends, receives)
    assert received.tolist() == [[10 * source + RANK] * (RANK + 1) + [-source] * 2 for source in range(SIZE)]


def test_exchange_needs_no_message_from_everybody():
    ahead, behind = (RANK + 1) % SIZE, (RANK - 1) % SIZE
    received = np.zeros(3)
    group.exchange([(ahead, np.full(3, RANK, float))], [(behind, received)])
    assert received.tolist() == [behind] * 3
    group.exchange([], [])


several_ranks = pytest.mark.skipif(SIZE == 1, reason="one rank needs no MPI")


@several_ranks
@pytest.mark.parametrize("ranks_per_node", [1, 2, 3])
def test_a_user_may_pretend_that_ranks_are_on_several_nodes(ranks_per_node):
    forced = by_node(group._comm, ranks_per_node)
    first = RANK // ranks_per_node * ranks_per_node
    expected = list(range(first, min(first + ranks_per_node, SIZE)))
    assert forced.rank == RANK
    assert forced.node.allgather(RANK) == expected
    assert forced.node.rank == RANK - first


@several_ranks
def test_ranks_of_a_node_follow_one_another(monkeypatch):
    # As with one rank after the other on two hosts in turn.
    class Alternating:
        rank, size = RANK, SIZE
        Split_type = staticmethod(lambda kind, key: group._comm.Split(RANK % 2, key))
        Split = group._comm.Split
        Allgather, Allgatherv = group._comm.Allgather, group._comm.Allgatherv
        Dup = staticmethod(lambda: Alternating)

    ordered = by_node(Alternating, None)
    assert ordered.allgather(RANK) == [*range(0, SIZE, 2), *range(1, SIZE, 2)]
    assert ordered.node.allgather(ordered.rank) == [
        rank for rank, old in enumerate([*range(0, SIZE, 2), *range(1, SIZE, 2)]) if old % 2 == RANK % 2
    ]


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
