"""Latency and bandwidth between hosts: the first rank of each exchanges messages with that of the next.

host 0 <-> host 1     host 2 <-> host 3      at the same time
           host 1 <-> host 2     host 3 <-> host 0      then these
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dpnet.comm.group import World
from dpnet.launch.doctor.finding import Finding, fault, ok

MESSAGES, LARGE = 20, 4 << 20
"""Small messages of which the latency is the mean, and bytes of the large ones."""
SLOW_MB = 50.0
"""MB/s of a link between hosts below which it is a fault: half of what 1 Gbit/s carries."""


class Link(NamedTuple):
    """Between two hosts.

    Attributes:
        hosts: their names.
        latency_s: of a small message, one way.
        mb_s: 1e6 bytes a second, in each direction at once.
    """

    hosts: tuple[str, str]
    latency_s: float
    mb_s: float


def measure_links(group: World) -> list[Link]:
    """Measure the links of a ring of all hosts; collective."""
    leaders = sorted(set(group.allgather(group.rank - group.node.rank)))
    hosts = group.allgather(group.host)
    found = []
    for pairs in rounds(leaders):
        partner = next((b if group.rank == a else a for a, b in pairs if group.rank in (a, b)), None)
        group.barrier()
        here = None if partner is None else _measure(group, partner)
        told = group.allgather(here)
        found += [Link((hosts[a], hosts[b]), *each) for a, b in pairs if (each := told[a]) is not None]
    return found


def rounds(leaders: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """Pairs of neighbours in a ring, in rounds in which nobody has two partners; none for one host."""
    ring = [(leaders[place], leaders[(place + 1) % len(leaders)]) for place in range(len(leaders))]
    ring = ring if len(leaders) > 2 else ring[: len(leaders) - 1]
    last = [ring.pop()] if len(ring) % 2 and len(ring) > 1 else []
    yield from (pairs for pairs in (ring[::2], ring[1::2], last) if pairs)


def _measure(group: World, partner: int) -> tuple[float, float]:
    def seconds(num_bytes: int, times: int) -> float:
        sent, received = np.zeros(num_bytes // 4, np.float32), np.zeros(num_bytes // 4, np.float32)
        group.exchange([(partner, sent)], [(partner, received)])  # Connections are made by the first message.
        begin_s = time.perf_counter()
        for _ in range(times):
            group.exchange([(partner, sent)], [(partner, received)])
        return (time.perf_counter() - begin_s) / times

    latency_s = seconds(8, MESSAGES)
    return latency_s, LARGE / 1e6 / seconds(LARGE, 2)


def check_links(links: Sequence[Link]) -> list[Finding]:
    """Links that are too slow to exchange gradients; nothing where there is one host."""
    if not links:
        return []
    slow = [link for link in links if link.mb_s < SLOW_MB]
    fix = "connect them by a faster network, or choose it (Open MPI: OMPI_MCA_btl_tcp_if_include, UCX: UCX_NET_DEVICES)"
    if slow:
        return [fault("network", _text(link), fix) for link in slow[:4]]
    worst = min(links, key=lambda link: link.mb_s)
    return [ok("network", f"{_text(worst)}, the slowest of {len(links)}" if len(links) > 1 else _text(worst))]


def _text(link: Link) -> str:
    return (
        f"{' and '.join(link.hosts)}: {1e6 * link.latency_s:.0f} us, {link.mb_s:,.0f} MB/s in both directions at once"
    )
