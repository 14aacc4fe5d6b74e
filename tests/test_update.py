"""The update of owned slices and the private state: the same bits as for one owner, however the vector is cut."""

import functools
import threading

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.nn.layout import BLOCK, Layout
from dpnet.optim.optimizers import SGD, make_optimizer
from dpnet.state import PrivateState, owned_slices
from dpnet.update import SliceUpdate

LAYOUT = Layout((30, 70, 50, 7))  # Six blocks; tensors end in the middle of them.
TIMEOUT_S = 10


class ThreadGroup:
    """One of several ranks that are threads of this process."""

    def __init__(self, rank, shared):
        self.rank, self.world_size = rank, len(shared["parts"])
        self._shared = shared

    def _all_parts(self, part):
        self._shared["parts"][self.rank] = part.copy()
        self._shared["barrier"].wait()
        parts = list(self._shared["parts"])
        self._shared["barrier"].wait()
        return parts

    def allgather_into(self, vector, counts):
        start = sum(counts[: self.rank])
        vector[:] = np.concatenate(self._all_parts(vector[start : start + counts[self.rank]]))

    def gather_into(self, part, whole, counts):
        parts = self._all_parts(part)
        if whole is not None:
            whole[:] = np.concatenate(parts)


def play(world_size, work):
    """What `work(group)` returns on each rank."""
    shared = {"parts": [None] * world_size, "barrier": threading.Barrier(world_size, timeout=TIMEOUT_S)}
    results = [None] * world_size

    def rank(number):
        try:
            results[number] = work(ThreadGroup(number, shared))
        except BaseException:
            shared["barrier"].abort()
            raise

    ranks = [threading.Thread(target=rank, args=(number,)) for number in range(world_size)]
    for thread in ranks:
        thread.start()
    for thread in ranks:
        thread.join()
    return results


def numbers(step, dtype=np.float32):
    """A vector whose padding is 0."""
    flat = np.zeros(LAYOUT.size, dtype)
    generator = np.random.default_rng(step)
    for target in LAYOUT.named(flat).values():
        target[...] = generator.standard_normal(target.shape)
    return flat


def trained(group, *, name="adamw", clip_norm=0.5, decay_biases=False, weight_decay=0.1, num_steps=4):
    """Parameters on every rank and, on rank 0, slots after some steps with given gradients."""
    optimizer = make_optimizer(name, momentum=0.9, nesterov=False, betas=(0.9, 0.99), eps=1e-8, dtype=np.float32)
    state = PrivateState(group, LAYOUT, optimizer.slots, np.float32)
    state.load(numbers(0), {slot: np.zeros(LAYOUT.size, np.float32) for slot in optimizer.slots})
    update = SliceUpdate(
        group, LAYOUT, state, optimizer, weight_decay=weight_decay, decay_biases=decay_biases, clip_norm=clip_norm
    )
    for step in range(1, num_steps + 1):
        update.apply(numbers(step)[state.slices[group.rank]], step=step, learning_rate=0.05)
        state.commit()
    return state.params.tobytes(), state.gather_slots()


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 6, 8, 100])
def test_slices_are_adjacent_even_and_cut_at_blocks(world_size):
    slices = owned_slices(LAYOUT.size, world_size)
    assert len(slices) == world_size
    assert np.concatenate([np.arange(LAYOUT.size)[part] for part in slices]).tolist() == list(range(LAYOUT.size))
    lengths = {part.stop - part.start for part in slices}
    assert all(length % BLOCK == 0 for length in lengths)
    assert max(lengths) - min(lengths) <= BLOCK


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_any_number_of_owners_has_the_same_bits(name, clip_norm):
    expected, slots = trained(LocalGroup(), name=name, clip_norm=clip_norm)
    assert LAYOUT.size == 6 * BLOCK
    for world_size in (2, 3, 5, 8):
        results = play(world_size, functools.partial(trained, name=name, clip_norm=clip_norm))
        assert {params for params, _ in results} == {expected}
        assert {slot: array.tobytes() for slot, array in results[0][1].items()} == {
            slot: array.tobytes() for slot, array in slots.items()
        }
        assert [gathered for _, gathered in results[1:]] == [None] * (world_size - 1)


@pytest.mark.parametrize("decay_biases", [False, True])
def test_weights_decay_and_biases_only_when_asked(decay_biases):
    state = PrivateState(LocalGroup(), LAYOUT, (), np.float64)
    state.load(numbers(0, np.float64), {})
    update = SliceUpdate(
        LocalGroup(), LAYOUT, state, SGD(dtype=np.float64), weight_decay=0.5, decay_biases=decay_biases, clip_norm=0.0
    )
    update.apply(np.zeros(LAYOUT.size), step=1, learning_rate=0.25)
    for name, array in LAYOUT.named(state.params).items():
        factor = 1 - 0.25 * 0.5 * (decay_biases or name.endswith("weight"))
        np.testing.assert_allclose(array, LAYOUT.named(numbers(0, np.float64))[name] * factor, rtol=1e-15)


@pytest.mark.parametrize(("clip_norm", "clips"), [(0.0, False), (1e-3, True), (1e9, False)])
def test_the_norm_of_the_whole_gradient_is_limited(clip_norm, clips):
    state = PrivateState(LocalGroup(), LAYOUT, (), np.float64)
    update = SliceUpdate(
        LocalGroup(), LAYOUT, state, SGD(dtype=np.float64), weight_decay=0.0, decay_biases=False, clip_norm=clip_norm
    )
    grad = numbers(1, np.float64)
    update.apply(grad.copy(), step=1, learning_rate=1.0)
    expected = grad * (clip_norm / (np.linalg.norm(grad) + 1e-6) if clips else 1)
    np.testing.assert_allclose(state.params, -expected, rtol=1e-12)


def test_padding_stays_zero():
    params = np.frombuffer(trained(LocalGroup())[0], np.float32)
    inside = np.zeros(LAYOUT.size, dtype=bool)
    for tensor in LAYOUT.tensors:
        inside[tensor.start : tensor.stop] = True
    assert not params[~inside].any()
    assert (~inside).any()


def test_loading_gives_every_owner_its_part():
    def work(group):
        state = PrivateState(group, LAYOUT, ("a", "b"), np.float32)
        state.load(numbers(0), {"a": numbers(1), "b": numbers(2)})
        return state.params.tobytes(), state.gather_slots()

    results = play(3, work)
    assert {params for params, _ in results} == {numbers(0).tobytes()}
    assert {name: array.tobytes() for name, array in results[0][1].items()} == {
        "a": numbers(1).tobytes(),
        "b": numbers(2).tobytes(),
    }
