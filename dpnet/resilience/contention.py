"""Contention: who takes the cores of a machine from its ranks.

All ranks of a machine are slower where other programs run on their cores, where the host of a virtual machine gives
its cores to others (steal), and where a CPU quota stops them. None of it is the fault of the rank that happens to be
hit, so it is told of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from dpnet.resilience.spent import Spent
from dpnet.text import counted

WORTH_REPORTING = 0.10
"""Share of the cores that somebody else takes."""
FELT = 0.05
"""Share of their time for which ranks wait for a core. With less there were cores to go round."""
CROWDED = 0.25
"""The same, where only ranks can be the reason."""


def contention(host: str, num_cores: int, ranks: Sequence[Spent]) -> str:
    """Who takes the cores of a machine, in words; empty: nobody, or nobody feels it.

    Args:
        host: name of the machine.
        num_cores: that its ranks may use.
        ranks: of the machine, each since the same time.
    """
    cores_s = sum(rank.busy + rank.idle + rank.stolen for rank in ranks)
    ranks_s = sum(rank.elapsed for rank in ranks)
    if not cores_s or not ranks_s:
        return ""
    others = max(0.0, sum(rank.busy - rank.used for rank in ranks)) / cores_s
    stolen = sum(rank.stolen for rank in ranks) / cores_s
    stopped = min(1.0, sum(rank.throttled for rank in ranks) / ranks_s)
    # Neither stolen time nor, in some kernels, that of a quota is part of what threads lack.
    lacked = max(stopped, min(1.0, sum(rank.lacked for rank in ranks) / ranks_s + stolen))
    most = max(others, stolen, stopped)
    cores = f"the {counted(num_cores, 'core')} of {host}"
    if lacked < (FELT if most > WORTH_REPORTING else CROWDED):
        return ""
    if most <= WORTH_REPORTING:
        return f"ranks wait for a core {lacked:.0%} of the time: {counted(len(ranks), 'rank')} on {cores}"
    if most == stopped:
        return f"a CPU quota stops the ranks on {host} {stopped:.0%} of the time: start fewer ranks or threads"
    if most == stolen:
        return f"{cores} lose {stolen:.0%} of their time to the host of this virtual machine (steal)"
    return f"other programs use {others:.0%} of {cores}: ranks wait for a core {lacked:.0%} of the time"
