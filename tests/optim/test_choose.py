"""Rules by their names in the job file."""

from __future__ import annotations

import numpy as np
import pytest

from dpnet.optim.adam import Adam, AdamW
from dpnet.optim.choose import OPTIMIZERS, make_optimizer
from dpnet.optim.sgd import SGD, Momentum

SIZE = 257


def trained(optimizer):
    """The bits of parameters and slots after two steps."""
    draw = np.random.default_rng(0)
    params, slots = draw.standard_normal(SIZE).astype(np.float32), [np.zeros(SIZE, np.float32) for _ in optimizer.slots]
    for step in (1, 2):
        grad = draw.standard_normal(SIZE).astype(np.float32)
        optimizer.update(
            params, grad, slots, learning_rate=0.01, weight_decay=0.1, step=step, out=params, out_slots=slots
        )
    return [v.tobytes() for v in (params, *slots)]


def test_the_names_are_those_of_the_job_file():
    assert list(OPTIMIZERS) == ["sgd", "adam", "adamw"]


@pytest.mark.parametrize(
    ("name", "momentum", "nesterov", "expected"),
    [
        ("sgd", 0.0, False, SGD(dtype=np.float32)),
        ("sgd", 0.7, False, Momentum(momentum=0.7, dtype=np.float32)),
        ("sgd", 0.7, True, Momentum(momentum=0.7, nesterov=True, dtype=np.float32)),
        ("adam", 0.0, False, Adam(betas=(0.5, 0.6), eps=0.1, dtype=np.float32)),
        ("adamw", 0.0, False, AdamW(betas=(0.5, 0.6), eps=0.1, dtype=np.float32)),
    ],
)
def test_make_optimizer_passes_each_hyperparameter_on(name, momentum, nesterov, expected):
    made = make_optimizer(name, momentum=momentum, nesterov=nesterov, betas=(0.5, 0.6), eps=0.1, dtype=np.float32)
    assert type(made) is type(expected)
    assert trained(made) == trained(expected)
