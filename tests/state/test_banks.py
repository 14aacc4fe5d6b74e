"""The state: what a commit publishes, when, and that the state before it stays whole where there are two banks."""

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.comm.node_memory import PrivateMemory
from dpnet.nn.layout import Layout
from dpnet.state.banks import State, StateVectors

LAYOUT = Layout((3, 2))
SLOTS = ("exp_avg", "exp_avg_sq")


class Watching(LocalGroup):
    """A node that notes the committed parameters and the step while its ranks wait for each other."""

    state, seen = None, ()

    def barrier(self):
        if self.state is not None:
            self.seen = (*self.seen, (self.state.step, self.state.params[0]))


def make_state(num_banks):
    node = Watching()
    state = State(node, PrivateMemory(), LAYOUT, SLOTS, np.float64, num_banks=num_banks)
    state.load(StateVectors(full(5), {name: full(50 + place) for place, name in enumerate(SLOTS)}, 5))
    node.state = state
    return state, node


def full(number):
    return np.full(LAYOUT.size, float(number))


def write_next(state, number):
    """As the update does: parameters `number`, optimizer vectors 10 and 10 + 1 times that."""
    state.next_params[:] = number
    for place, slot in enumerate(state.next_slots):
        slot[:] = 10 * number + place


def numbers(bank):
    """What the vectors of a bank, or of the committed state, are filled with."""
    vectors = [bank.params, bank.owned_params, *bank.slots.values(), *bank.owned_slots, bank.layers[0][0]]
    assert all((vector == vector.flat[0]).all() for vector in vectors)
    return [vector.flat[0] for vector in vectors]


def filled(number):
    return [number, number, 10 * number, 10 * number + 1, 10 * number, 10 * number + 1, number]


def test_two_banks_keep_the_state_before_until_the_next_commit():
    state, _ = make_state(2)
    assert numbers(state) == filled(5)
    for step in (6, 7, 8):
        write_next(state, step)
        assert numbers(state) == numbers(state.at(step - 1)) == filled(step - 1)
        state.commit()
        assert state.step == step
        assert numbers(state) == numbers(state.at(step)) == filled(step)
        assert numbers(state.at(step - 1)) == filled(step - 1)


def test_one_bank_is_updated_in_place():
    state, _ = make_state(1)
    assert state.next_params is state.owned_params
    write_next(state, 6)
    state.commit()
    assert numbers(state) == filled(6)


@pytest.mark.parametrize("num_banks", [1, 2])
def test_a_step_that_is_left_out_counts_and_changes_nothing(num_banks):
    state, _ = make_state(num_banks)
    state.keep()
    assert state.step == 6
    assert numbers(state) == numbers(state.at(6)) == numbers(state.at(5)) == filled(5)
    write_next(state, 7)
    state.commit()
    assert numbers(state) == filled(7)
    assert numbers(state.at(6)) == filled(5 if num_banks == 2 else 7)


def test_nothing_is_new_before_all_ranks_have_come():
    state, node = make_state(2)
    write_next(state, 6)
    state.commit()
    state.keep()
    assert node.seen == ((5, 5.0), (6, 6.0))


def test_nobody_writes_what_is_loaded_while_others_read_and_nobody_reads_while_others_write():
    state, node = make_state(2)
    state.load(StateVectors(full(9), {"exp_avg": full(90)}, 9))
    assert node.seen == ((5, 5.0), (9, 9.0))
    assert state.step == 9
    assert numbers(state) == [9, 9, 90, 51, 90, 51, 9]  # A vector that is not among those loaded stays.


def test_both_banks_hold_what_no_update_writes():
    state, _ = make_state(2)
    for step in (6, 7):
        state.next_params[3:] = step  # The first three elements are frozen.
        state.commit()
        assert state.params[:4].tolist() == [5, 5, 5, step]
        assert state.slots["exp_avg"][:3].tolist() == [50, 50, 50]
