"""scikit-learn: MLPClassifier.partial_fit on one batch after the other, in one process.

Its "adam" has an L2 penalty instead of decoupled weight decay, at the same cost.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

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

RULES = {
    "sgd": {"solver": "sgd", "momentum": MOMENTUM, "nesterovs_momentum": False},
    "adamw": {"solver": "adam", "alpha": WEIGHT_DECAY},
}


def main() -> None:
    options = peer_arguments(__doc__)
    warnings.filterwarnings("ignore")
    threadpool_limits(options.threads)
    workload = WORKLOADS[options.workload]
    x, labels = random_data(workload)
    network = MLPClassifier(
        workload.sizes[1:-1],
        learning_rate_init=LEARNING_RATE,
        batch_size=options.batch,
        **RULES[options.optimizer],
    )
    classes = np.arange(workload.sizes[-1])
    ids = batches(options.batch)

    def step() -> None:
        chosen = next(ids)
        network.partial_fit(x[chosen], labels[chosen], classes=classes)

    print(options.batch / time_steps(step, lambda: None, options.seconds))


main()
