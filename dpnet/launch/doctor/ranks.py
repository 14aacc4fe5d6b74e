"""Checks of ranks, cores and threads: pure functions of what all ranks see."""

from __future__ import annotations

from collections.abc import Sequence

from dpnet.compute.cores.available import squeezed
from dpnet.compute.cores.usage import IDLE
from dpnet.launch.doctor.facts import Facts
from dpnet.launch.doctor.finding import Finding, fault, ok, warning
from dpnet.text import counted, shorten

HALF = 0.5
"""Share of a host's cores that others may use before it is a fault."""


def by_host(seen: Sequence[Facts]) -> dict[str, list[Facts]]:
    """What the ranks of each host see."""
    hosts: dict[str, list[Facts]] = {}
    for each in seen:
        hosts.setdefault(each.host, []).append(each)
    return hosts


def check_ranks(seen: Sequence[Facts]) -> list[Finding]:
    """Ranks and hosts: all that were allocated, each with as many ranks."""
    hosts = by_host(seen)
    numbers = {host: len(ranks) for host, ranks in hosts.items()}
    where = ", ".join(f"{number} on {host}" for host, number in numbers.items())
    text = shorten(f"{counted(len(seen), 'rank')}: {where}", 200)
    allocated = seen[0].nodes_allocated
    if allocated is not None and allocated > len(hosts):
        idle = allocated - len(hosts)
        verb = "stands" if idle == 1 else "stand"
        text += f"; {counted(idle, 'host')} of the {allocated} that were allocated {verb} idle"
        fix = "start ranks on all of them: dpnet launch in the batch script, or srun -N with all nodes"
        return [fault("ranks", text, fix)]
    if len(set(numbers.values())) > 1:
        return [warning("ranks", text, "give every host as many ranks: the fewest wait for the most")]
    return [ok("ranks", text)]


def check_binding(seen: Sequence[Facts]) -> list[Finding]:
    """Every rank needs a core of its own."""
    findings = []
    for host, ranks in by_host(seen).items():
        if (found := squeezed([rank.cores for rank in ranks])) is not None:
            inside, cores = found
            text = f"{counted(inside, 'rank')} on {host} share {counted(len(cores), 'core')} ({_some(cores)})"
            findings.append(fault("binding", text, _free(cores, ranks[0].num_cores, inside)))
    first = seen[0]
    return findings or [ok("binding", f"a rank may run on {counted(len(first.cores), 'core')} ({_some(first.cores)})")]


def _free(cores: frozenset[int], num_cores: int, ranks: int) -> str:
    """How ranks get to other cores, or that there are none."""
    if len(cores) == num_cores:
        return f"start {len(cores)} ranks in the place of {ranks}"
    return (
        "let them run on all cores: mpirun --bind-to none, srun --cpu-bind=none; in a cpuset ask for more cores "
        "(srun --cpus-per-task)"
    )


def _some(cores: frozenset[int]) -> str:
    return shorten(", ".join(map(str, sorted(cores))), 24)


def check_quota(seen: Sequence[Facts]) -> list[Finding]:
    """A CPU quota that stops ranks: fewer cores' worth of time than ranks."""
    for host, ranks in by_host(seen).items():
        granted = ranks[0].quota
        if granted is not None and granted < len(ranks):
            text = f"{counted(len(ranks), 'rank')} on {host}, and a CPU quota of {granted:g} cores: it stops them"
            return [fault("quota", text, f"start {max(1, int(granted))}, or ask for a larger quota")]
    limited = [rank.quota for rank in seen if rank.quota is not None]
    return [ok("quota", f"{min(limited):g} cores" if limited else "no CPU quota")]


def check_threads(seen: Sequence[Facts]) -> list[Finding]:
    """More threads than cores."""
    for host, ranks in by_host(seen).items():
        cores = len(frozenset[int]().union(*(rank.cores for rank in ranks)))
        threads = max(rank.threads for rank in ranks)
        if threads > 1 and threads * len(ranks) > cores:
            text = f"{counted(len(ranks), 'rank')} of {threads} threads on {counted(cores, 'core')} of {host}"
            fix = f"set OMP_NUM_THREADS to {max(1, cores // len(ranks))}, or leave it out: dpnet shares the cores out"
            return [fault("threads", text, fix)]
    set_to = seen[0].threads
    return [ok("threads", f"{set_to} by the environment" if set_to else "as dpnet shares the cores out")]


def check_load(seen: Sequence[Facts]) -> list[Finding]:
    """Other programs on the cores."""
    findings = []
    for host, ranks in by_host(seen).items():
        shares = [rank.busy for rank in ranks if rank.busy is not None]
        busy = sum(shares) / len(shares) if shares else 0.0
        text = f"other programs use {busy:.0%} of the cores of {host}"
        fix = "wait for them or end them (top shows them): every rank waits for the slowest"
        if busy > HALF:
            findings.append(fault("load", text, fix))
        elif 1 - busy < IDLE:
            findings.append(warning("load", text, fix))
    return findings or [ok("load", "the cores are idle but for the ranks")]
