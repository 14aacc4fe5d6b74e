"""The cost model: which factors are needed, what they cost, and which way is chosen."""

import pytest

from dpnet.nn.layout import Layout
from dpnet.parallel.cost import (
    Shape,
    Speeds,
    all_computed,
    all_received,
    best_ways,
    factors_cost,
    gradients_cost,
)
from dpnet.parallel.ways import EARLY_BYTES, Way, messages

NOT, COMPUTED, RECEIVED = Way.NOT_NEEDED, Way.COMPUTED, Way.RECEIVED
WIDE = (784, 2048, 2048, 10)
GIGABIT = Speeds(117e6, 1e-4, 90e9)
SLOW, FAST = Speeds(11.7e6, 1e-4, 90e9), Speeds(12e9, 2e-6, 90e9)


def shape(sizes=WIDE, *, frozen=(), sparse=True, nodes=2, ranks=1, rows=256):
    return Shape(Layout(sizes, frozen), 4, sparse, nodes, ranks, rows)


def test_samples_and_what_leads_to_them_never_travel():
    ways = all_received(shape())
    assert ways.x == (COMPUTED, RECEIVED, RECEIVED)
    assert ways.dz == (RECEIVED, RECEIVED, RECEIVED)
    assert list(ways.received_dz()) == [2, 1, 0]
    assert all_computed(shape()).x == (COMPUTED, COMPUTED, COMPUTED)
    assert all_computed(shape()).dz == (COMPUTED, COMPUTED, RECEIVED)


def test_nothing_is_brought_for_a_frozen_layer_but_what_the_others_need():
    # Layer 0 is frozen: its dz is not needed. Its output is the x of layer 1.
    ways = all_received(shape(frozen=["0"]))
    assert ways.x == (NOT, RECEIVED, RECEIVED)
    assert ways.dz == (NOT, RECEIVED, RECEIVED)
    assert all_computed(shape(frozen=["0"])).x == (COMPUTED, COMPUTED, COMPUTED)
    # The middle layer is frozen: its x is needed to go on, and its dz to go back, only where those are computed.
    ways = all_received(shape(frozen=["2"]))
    assert (ways.x, ways.dz) == ((COMPUTED, NOT, RECEIVED), (RECEIVED, NOT, RECEIVED))
    assert all_computed(shape(frozen=["2"])).dz == (COMPUTED, COMPUTED, RECEIVED)
    # Only the last is trained.
    ways = all_received(shape(frozen=["0", "2"]))
    assert (ways.x, ways.dz) == ((NOT, NOT, RECEIVED), (NOT, NOT, RECEIVED))


def test_the_bytes_of_the_issue():
    gradients = gradients_cost(shape(), GIGABIT).bytes
    assert gradients == pytest.approx(23.3e6, rel=0.01)
    assert factors_cost(shape(sparse=False), all_received(shape(sparse=False)), GIGABIT).bytes < 8.7e6
    assert factors_cost(shape(), all_received(shape()), GIGABIT).bytes < 4.8e6
    assert factors_cost(shape(), all_computed(shape()), GIGABIT).bytes < 20e3


def test_bytes_grow_with_the_other_nodes_and_the_ranks():
    def sent(**numbers):
        return factors_cost(shape(**numbers), all_received(shape(**numbers)), GIGABIT).bytes

    assert sent(nodes=4) == pytest.approx(3 * sent())
    assert sent(ranks=5) == pytest.approx(5 * sent())
    assert gradients_cost(shape(nodes=4, ranks=5), GIGABIT).bytes == pytest.approx(
        1.5 * gradients_cost(shape(), GIGABIT).bytes
    )


def sent(ways, num_bytes):
    return messages(ways, lambda array: num_bytes.get(array, 1))


def test_long_arrays_have_messages_of_their_own_and_short_ones_wait_for_the_next():
    ways = all_received(shape())
    one, two, three, long = ("x", 1), ("x", 2), ("dz", 2), EARLY_BYTES
    assert sent(ways, {}) == [[one, two, three, ("dz", 1), ("dz", 0)]]
    assert sent(ways, {one: long, two: long - 1}) == [[one], [two, three], [("dz", 1), ("dz", 0)]]
    assert sent(ways, {two: long}) == [[one, two], [three, ("dz", 1), ("dz", 0)]]
    # The array that is complete last leaves with the numbers of the step, however long it is.
    assert sent(ways, {("dz", 0): long}) == [[one, two, three, ("dz", 1), ("dz", 0)]]
    assert sent(ways, {("dz", 1): long, ("dz", 0): long}) == [[one, two, three, ("dz", 1)], [("dz", 0)]]
    assert messages(all_computed(shape(frozen=["0", "2"])), lambda array: long) == [[("dz", 2)]]


def test_what_leaves_early_costs_only_what_the_way_back_does_not_hide():
    ways, back_s = all_received(shape()), 2 * 256 * (2048 * 2048 + 2048 * 10) / GIGABIT.flops
    early = 2 * 256 * 2048 * 4 * (0.5 + 1 / 32) + 256 * 10 * 4 + (256 * 2048 * 4) * (0.5 + 1 / 32) + 4 * (10 + 2048)
    last = 256 * 2048 * 4 * (0.5 + 1 / 32) + 4 * 2048
    assert factors_cost(shape(), ways, GIGABIT).bytes == pytest.approx(early + last)
    rest = [factors_cost(shape(), ways, Speeds(bytes_s, 1e-4, 90e9)).seconds for bytes_s in (1e15, 50e6, 1e9)]
    assert rest[1] - rest[0] == pytest.approx(early / 50e6 - back_s + last / 50e6, rel=1e-3)
    assert rest[2] - rest[0] == pytest.approx(last / 1e9, rel=1e-3)


def test_on_a_slow_link_all_is_computed_and_on_a_fast_one_all_is_sent():
    assert best_ways(shape(), SLOW) == all_computed(shape())
    fast = best_ways(shape(), FAST)
    assert fast.x == (COMPUTED, RECEIVED, RECEIVED)
    assert fast.dz == (RECEIVED, COMPUTED, RECEIVED)  # From ten outputs back to 2048 units: computed in no time.


def test_the_best_ways_are_never_slower_than_the_others():
    for speeds in (SLOW, GIGABIT, FAST):
        for sizes in (WIDE, (784, 256, 128, 10), (30, 4000, 2), (10, 10)):
            for rows in (1, 64, 4096):
                one = shape(sizes, rows=rows)
                best = factors_cost(one, best_ways(one, speeds), speeds).seconds
                for other in (all_computed(one), all_received(one)):
                    assert best <= factors_cost(one, other, speeds).seconds * (1 + 1e-9)


def test_of_a_large_batch_of_a_small_network_gradients_are_cheaper():
    small = shape((64, 64, 10), rows=4096)
    for speeds in (SLOW, GIGABIT):
        assert gradients_cost(small, speeds).seconds < factors_cost(small, best_ways(small, speeds), speeds).seconds


def test_each_further_node_takes_a_message_more():
    near, far = Speeds(1e15, 2e-6, 1e18), Speeds(1e15, 1e-4, 1e18)
    for speeds, message_s in ((near, 2.5e-6), (far, 5e-5)):
        two, ten = (gradients_cost(shape((1, 1), nodes=nodes), speeds).seconds for nodes in (2, 10))
        assert ten - two == pytest.approx(2 * 8 * message_s, rel=1e-3)
        # One message with the factors of a small network.
        two, ten = (factors_cost(one, all_received(one), speeds).seconds for one in map(small_on, (2, 10)))
        assert ten - two == pytest.approx(8 * message_s, rel=1e-2)


def small_on(nodes):
    return shape((1, 1), nodes=nodes, rows=1)
