"""Frozen layers keep their bits, and the others become what PyTorch makes of them with requires_grad=False."""

import functools
import itertools

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.world import by_node
from dpnet.compute.backend import plain_backend
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

pytestmark = pytest.mark.mpi

SIZES, STEPS = (30, 70, 40, 9, 3), 6
INPUTS, LABELS = np.random.default_rng(1).standard_normal((50, 30)), np.arange(50) % 3
SOURCE = DataSource("random", make_split(INPUTS, LABELS, "x", "y"), None)
FROZEN = [("0", "2"), ("2",), ("6",), ("0", "4")]


@functools.cache
def group_of(ranks_per_node):
    return by_node(connect()._comm, ranks_per_node) if connect().world_size > 1 else connect()


@functools.cache
def trained(frozen, clip_norm, reducer, ranks_per_node):
    """Every tensor by name, before the training and after it; and the batches of its steps."""
    job = from_dict(
        {
            "model": {"hidden_layers": [*SIZES[1:-1]], "dtype": "float64", "freeze": [*frozen]},
            "train": {
                "global_batch_size": 21,
                "steps": STEPS,
                "reducer": "auto" if reducer == "reproducible" else reducer,
                "reproducible_shards": 5 if reducer == "reproducible" else 0,
            },
            "optimizer": {"learning_rate": 0.01, "weight_decay": 0.3, "clip_norm": clip_norm},
        },
        where="test",
    )
    setup = prepare(job, group_of(ranks_per_node), SOURCE, backend=plain_backend(), scaling=UNSCALED)
    parts = build_parts(setup, SOURCE)

    def tensors():
        return {name: array.copy() for name, array in parts.layout.named(parts.state.params).items()}

    before = tensors()
    for step in range(STEPS):
        parts.trainer.step(step)
    slots = [array for slot in parts.state.slots.values() for array in parts.layout.named(slot).items()]
    assert not any(array.any() for name, array in slots if name.partition(".")[0] in frozen)
    return before, tensors(), [parts.plan.batch(step) for step in range(STEPS)]


@functools.cache
def by_torch(frozen, clip_norm):
    """The same by PyTorch."""
    torch = pytest.importorskip("torch")
    before, _, batches = trained(frozen, clip_norm, "auto", 2)
    layers = []
    for inputs, outputs in itertools.pairwise(SIZES):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1]).double()
    model.load_state_dict({name: torch.tensor(array) for name, array in before.items()})
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.partition(".")[0] not in frozen
    weights, biases = (
        [p for name, p in model.named_parameters() if p.requires_grad and name.endswith(kind)]
        for kind in ("weight", "bias")
    )
    groups = [{"params": weights, "weight_decay": 0.3}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    for ids in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.tensor(INPUTS[ids])), torch.tensor(LABELS[ids])).backward()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("clip_norm", "ranks_per_node"), [(0.0, 4), (0.05, 2)])
@pytest.mark.parametrize("reducer", ["joint", "shards", "allreduce", "reproducible"])
@pytest.mark.parametrize("frozen", FROZEN, ids="-".join)
def test_what_is_frozen_keeps_its_bits_and_the_rest_is_that_of_pytorch(frozen, clip_norm, reducer, ranks_per_node):
    before, after, _ = trained(frozen, clip_norm, reducer, ranks_per_node)
    moved = {name for name, array in after.items() if array.tobytes() != before[name].tobytes()}
    assert moved == {name for name in after if name.partition(".")[0] not in frozen}
    expected = by_torch(frozen, clip_norm)
    for name in moved:
        np.testing.assert_allclose(after[name], expected[name], rtol=1e-6, atol=1e-8)
