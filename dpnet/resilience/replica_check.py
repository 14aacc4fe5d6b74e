"""The replica check: whether all nodes hold the same parameters.

Nodes compute the same updates from the same sums, each for itself. Another processor, another BLAS or faulty memory may
round differently on one node: from then on the nodes train different networks, and nothing else would show it.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from dpnet.comm.group import Group
from dpnet.compute.arrays import Vector
from dpnet.errors import CommunicationError


def check(params: Vector, group: Group, step: int) -> None:
    """Compare the parameters among nodes; collective.

    Raises:
        CommunicationError: the parameters differ; on every rank.
    """
    digest = hashlib.sha256(params.data).hexdigest() if group.node.rank == 0 else ""
    digests = {(rank, host): text for rank, (host, text) in enumerate(group.allgather((group.host, digest))) if text}
    usual, number = Counter(digests.values()).most_common(1)[0]
    if number == len(digests):
        return
    odd = [f"{host} (ranks from {rank} on)" for (rank, host), text in digests.items() if text != usual]
    if 2 * number <= len(digests):
        odd = [f"{host} (ranks from {rank} on)" for rank, host in digests]
    raise CommunicationError(
        f"after step {step} not all nodes hold the same parameters; deviating: {', '.join(odd)}. Look for another "
        "processor, another numpy or BLAS, or broken memory there; go on from an earlier checkpoint with --resume PATH",
        agreed=True,
    )
