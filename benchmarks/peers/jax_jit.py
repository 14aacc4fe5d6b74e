"""JAX in one process: the whole step, gather and update included, in one jitted function with donated buffers."""

from __future__ import annotations

import itertools
import os

from benchmarks.workloads import (
    LEARNING_RATE,
    MOMENTUM,
    WEIGHT_DECAY,
    WORKLOADS,
    batches,
    peer_arguments,
    random_data,
    time_steps,
)

options = peer_arguments(__doc__)
os.environ["JAX_PLATFORMS"] = "cpu"
# XLA takes its number of threads from the cores that the process may use.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def loss(params, x, labels):
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = params[-1]
    logits = x @ weight + bias
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0])


def sgd(params, slots, grads, _):
    new = jax.tree.map(lambda b, g: MOMENTUM * b + g, slots[0], grads)
    return jax.tree.map(lambda p, b: p - LEARNING_RATE * b, params, new), (new,)


def adamw(params, slots, grads, count):
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, slots[0], grads)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, slots[1], grads)
    first, second = 1 - BETA1**count, 1 - BETA2**count

    def update(p, m, v):
        decayed = p * (1 - LEARNING_RATE * WEIGHT_DECAY) if p.ndim == 2 else p
        return decayed - LEARNING_RATE * (m / first) / (jnp.sqrt(v / second) + EPS)

    return jax.tree.map(update, params, m, v), (m, v)


RULES = {"sgd": (sgd, 1), "adamw": (adamw, 2)}


def main() -> None:
    workload = WORKLOADS[options.workload]
    rule, num_slots = RULES[options.optimizer]
    inputs, labels = (jax.device_put(array) for array in random_data(workload))
    keys = jax.random.split(jax.random.key(0), len(workload.sizes))
    params = [
        (jax.random.normal(key, (i, o)) * (2 / i) ** 0.5, jnp.zeros(o))
        for key, (i, o) in zip(keys, itertools.pairwise(workload.sizes), strict=False)
    ]

    @jax.jit
    def zeros():
        return tuple(jax.tree.map(jnp.zeros_like, params) for _ in range(num_slots))

    def train_step(params, slots, count, ids):
        value, grads = jax.value_and_grad(loss)(params, inputs[ids], labels[ids])
        params, slots = rule(params, slots, grads, count + 1)
        return params, slots, count + 1, value

    jitted = jax.jit(train_step, donate_argnums=(0, 1, 2))
    ids = batches(options.batch)
    state = [params, zeros(), jnp.float32(0)]

    def step() -> None:
        *state[:], _ = jitted(*state, next(ids))

    seconds = time_steps(step, lambda: jax.block_until_ready(state), options.seconds)
    print(options.batch / seconds)


main()
