"""The update of owned slices and the state: the same bits as for one owner, however the vector is cut."""

import itertools
import threading

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.comm.node_memory import PrivateMemory
from dpnet.compute.backend import Backend
from dpnet.compute.loops.choose import NUMPY, choose_kernels
from dpnet.compute.loops.pending_sums import Tile, pending_sum
from dpnet.compute.pool import Pool
from dpnet.compute.products.numpy import NUMPY as NUMPY_PRODUCTS
from dpnet.nn.layout import Layout
from dpnet.optim import apply
from dpnet.optim.choose import make_optimizer
from dpnet.optim.sgd import SGD
from dpnet.state.banks import State, StateVectors
from dpnet.state.ownership import OWNERSHIP_GRAIN
from dpnet.state.update import SliceUpdate

LAYOUT = Layout((30, 70, 50, 7))  # Six grains; tensors end in the middle of them.
TIMEOUT_S = 60


class ThreadGroup:
    """One of several ranks that are threads of this process; also the memory that they share."""

    def __init__(self, rank, shared):
        self.rank, self.world_size = rank, len(shared["parts"])
        self._shared = shared

    def barrier(self):
        self._shared["barrier"].wait()

    def allgather(self, value):
        self._shared["parts"][self.rank] = value
        self.barrier()
        values = list(self._shared["parts"])
        self.barrier()
        return values

    def allgather_into(self, vector, counts):
        start = sum(counts[: self.rank])
        vector[:] = np.concatenate(self.allgather(vector[start : start + counts[self.rank]].copy()))

    def zeros(self, size, dtype):
        return self.allgather(np.zeros(size, dtype))[0]


def alone():
    """The group of one rank, and its memory."""
    return LocalGroup(), PrivateMemory()


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


class Training:
    """A state with an update whose gradient, and its order of addition, are given."""

    def __init__(self, node, memory, optimizer, *, dtype=np.float32, kernels=NUMPY, terms=1, threads=1, **how):
        self.state = State(node, memory, LAYOUT, optimizer.slots, dtype)
        self.terms = memory.zeros(terms * LAYOUT.size, dtype).reshape(terms, LAYOUT.size)
        grad = self._tiles(self.state.slices[node.rank], [0, *[1] * (terms - 1)])
        how = {"weight_decay": 0.0, "decay_biases": False, "clip_norm": 0.0, **how}
        backend = Backend(threads, NUMPY_PRODUCTS, kernels, Pool(threads))
        self.update = SliceUpdate(self.state, LAYOUT, grad, optimizer, backend, **how)

    def _tiles(self, owned, joins):
        """Two tiles with a copy of their terms, one as they are: as reducers give them."""
        thirds = [(owned.stop - owned.start) * third // 3 for third in range(4)]
        found = []
        for number, (start, stop) in enumerate(itertools.pairwise(thirds)):
            columns = slice(owned.start + start, owned.start + stop)
            if number == 1:
                found.append(Tile(start, stop, pending_sum(self.terms, joins, owned.start)))
                continue
            room = np.full((len(self.terms), stop - start), np.nan, self.terms.dtype)

            def prepare(room=room, columns=columns):
                room[:] = self.terms[:, columns]

            found.append(Tile(start, stop, pending_sum(room, joins, -start), prepare))
        return found


def trained(node, memory, *, name="adamw", clip_norm=0.5, num_steps=4, dtype=np.float32, terms=1, **how):
    """Parameters and slots after some steps with given gradients."""
    nesterov = name == "nesterov"
    settings = {"momentum": 0.9, "nesterov": nesterov, "betas": (0.9, 0.99), "eps": 1e-8, "dtype": dtype}
    optimizer = make_optimizer("sgd" if nesterov else name, **settings)
    training = Training(node, memory, optimizer, clip_norm=clip_norm, dtype=dtype, terms=terms, weight_decay=0.1, **how)
    state = training.state
    state.load(StateVectors(numbers(0, dtype), {slot: np.zeros(LAYOUT.size, dtype) for slot in optimizer.slots}, 0))
    for step in range(1, num_steps + 1):
        if node.rank == 0:
            for term, vector in enumerate(training.terms):
                vector[:] = numbers(step + 100 * term, dtype)
        node.barrier()
        training.update.apply(step=step, learning_rate=0.05)
        state.commit()
    return state.params.tobytes(), {slot: array.tobytes() for slot, array in state.slots.items()}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_any_number_of_owners_has_the_same_bits(name, clip_norm):
    expected = trained(*alone(), name=name, clip_norm=clip_norm)
    assert LAYOUT.size == 6 * OWNERSHIP_GRAIN
    for world_size in (2, 3, 5, 8):
        results = play(world_size, lambda node: trained(node, node, name=name, clip_norm=clip_norm))
        assert results == [expected] * world_size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("terms", [1, 3])
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw"])
def test_compiled_rules_have_the_bits_of_numpy(name, clip_norm, terms, dtype, monkeypatch):
    pytest.importorskip("numba", reason="numba is not installed; pip install 'dpnet[fast]'")
    how = {"name": name, "clip_norm": clip_norm, "terms": terms, "dtype": dtype}
    expected = trained(*alone(), **how)
    kernels = choose_kernels("numba")
    assert trained(*alone(), kernels=kernels, **how) == expected
    monkeypatch.setattr(apply, "TILES_PER_THREAD", 1)
    assert trained(*alone(), kernels=kernels, threads=3, **how) == expected


@pytest.mark.parametrize("kernels", ["numpy", "numba"])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_next_state_may_lie_elsewhere(name, kernels):
    if kernels == "numba":
        pytest.importorskip("numba", reason="numba is not installed; pip install 'dpnet[fast]'")
    expected = trained(*alone(), name=name, num_steps=1, clip_norm=0)
    optimizer = make_optimizer(name, momentum=0.9, nesterov=False, betas=(0.9, 0.99), eps=1e-8, dtype=np.float32)
    training = Training(*alone(), optimizer, kernels=choose_kernels(kernels), weight_decay=0.1)
    state = training.state
    state.load(StateVectors(numbers(0), {}, 0))
    state.next_params = state.owned_params.copy()
    state.next_slots = [slot.copy() for slot in state.owned_slots]
    training.terms[0] = numbers(1)
    training.update.apply(step=1, learning_rate=0.05)
    assert state.params.tobytes() == numbers(0).tobytes()
    assert not any(slot.any() for slot in state.owned_slots)
    assert state.next_params.tobytes() == expected[0]
    assert [slot.tobytes() for slot in state.next_slots] == list(expected[1].values())


@pytest.mark.parametrize("decay_biases", [False, True])
def test_weights_decay_and_biases_only_when_asked(decay_biases):
    optimizer = SGD(dtype=np.float64)
    training = Training(*alone(), optimizer, dtype=np.float64, weight_decay=0.5, decay_biases=decay_biases)
    training.state.load(StateVectors(numbers(0, np.float64), {}, 0))
    training.update.apply(step=1, learning_rate=0.25)
    for name, array in LAYOUT.named(training.state.params).items():
        factor = 1 - 0.25 * 0.5 * (decay_biases or name.endswith("weight"))
        np.testing.assert_allclose(array, LAYOUT.named(numbers(0, np.float64))[name] * factor, rtol=1e-15)


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw"])
def test_what_is_frozen_stays_as_it_is(name, monkeypatch):
    monkeypatch.setitem(globals(), "LAYOUT", Layout((30, 70, 50, 7), ["2"]))
    params, slots = trained(*alone(), name=name, num_steps=2, decay_biases=True)
    for vector, before in [(params, numbers(0)), *((slot, np.zeros(LAYOUT.size)) for slot in slots.values())]:
        named = LAYOUT.named(np.frombuffer(vector, np.float32))
        same = {key for key, array in LAYOUT.named(before).items() if np.array_equal(named[key], array)}
        assert same == {"2.weight", "2.bias"}


@pytest.mark.parametrize(("clip_norm", "clips"), [(0.0, False), (1e-3, True), (1e9, False)])
def test_the_norm_of_the_whole_gradient_is_limited(clip_norm, clips):
    training = Training(*alone(), SGD(dtype=np.float64), dtype=np.float64, clip_norm=clip_norm)
    grad = numbers(1, np.float64)
    training.terms[0] = grad
    training.update.apply(step=1, learning_rate=1.0)
    expected = grad * (clip_norm / (np.linalg.norm(grad) + 1e-6) if clips else 1)
    np.testing.assert_allclose(training.state.params, -expected, rtol=1e-12)


def test_padding_stays_zero():
    params = np.frombuffer(trained(*alone())[0], np.float32)
    inside = np.zeros(LAYOUT.size, dtype=bool)
    for tensor in LAYOUT.tensors:
        inside[tensor.start : tensor.stop] = True
    assert not params[~inside].any()
    assert (~inside).any()


def test_loading_gives_every_owner_its_part():
    def work(node):
        state = State(node, node, LAYOUT, ("a", "b"), np.float32)
        state.load(StateVectors(numbers(0), {"a": numbers(1), "b": numbers(2)}, 0))
        return state.params.tobytes(), state.slots["a"].tobytes(), state.slots["b"].tobytes()

    assert play(3, work) == [tuple(numbers(number).tobytes() for number in range(3))] * 3
