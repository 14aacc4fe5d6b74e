"""Exact scores of a trained network."""

from __future__ import annotations

from dpnet.comm.agree import everywhere
from dpnet.comm.alike import check_alike
from dpnet.comm.group import World
from dpnet.data.sources import require_labels
from dpnet.inference.network import Network, open_samples, prepared
from dpnet.parallel.evaluate import Evaluator, Scores


def evaluate(network: Network, source: str, group: World, *, split: str = "test", batch_size: int = 512) -> Scores:
    """Compute exact scores of a network; collective.

    Args:
        network: the network; it is not changed.
        source: of the samples, which must have labels: see `dpnet.data.sources`.
        group: all ranks share the samples.
        split: "test" or "train".
        batch_size: samples computed at once.

    Raises:
        ConfigError: ranks were given different arguments.
        DataError: the samples cannot be used.
    """
    check_alike(
        group, {"the call": "dpnet.evaluate", "the data": source, "the split": split, "the batch size": str(batch_size)}
    )
    samples = open_samples(network, source, split, group)
    everywhere(group, lambda: require_labels(samples))
    rows = min(batch_size, len(samples))
    with prepared(network, group) as setup:
        return Evaluator(group, setup.replica(samples, rows), batch_size=rows)(network.params)
