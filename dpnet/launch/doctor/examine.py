"""All checks, in turn: ranks look together, and every rank gets all findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import World
from dpnet.comm.library import Loaded, loaded
from dpnet.compute.threads import limit_threads, threads_kept
from dpnet.config.directory import first_choice
from dpnet.config.job import Job
from dpnet.errors import DpnetError
from dpnet.launch.doctor import disk, hosts, links, memory, mpi, products, ranks
from dpnet.launch.doctor.facts import Facts, facts
from dpnet.launch.doctor.finding import Finding, fault, ok, warning
from dpnet.output.shared import check_shared
from dpnet.training.hosts import MOST_APART_S, apart, clocks, compare_hosts
from dpnet.training.prepare import open_data

OF_FACTS: tuple[Callable[[list[Facts]], list[Finding]], ...] = (
    ranks.check_ranks,
    ranks.check_binding,
    ranks.check_quota,
    ranks.check_threads,
    ranks.check_load,
    hosts.check_versions,
    hosts.check_processors,
    memory.check_memory,
    memory.check_shared_memory,
)
"""Checks that need nothing but what all ranks see."""


def examine(group: World, job: Job, *, with_data: bool) -> list[Finding]:
    """Run all checks; collective.

    Args:
        group: all ranks.
        job: its run directory is looked at.
        with_data: and so are its data.
    """
    found = on_root(group, lambda: _of_mpi(loaded()))
    group.barrier()
    seen = group.allgather(facts(group))
    found += [finding for check in OF_FACTS for finding in check(seen)]
    found += [*_of_cache(seen), *_of_products(group, seen), *_of_hosts(group)]
    found += _of_directory(group, first_choice(job), is_shared=job.output.shared)
    return [*found, *(_of_data(group, job) if with_data else [])]


def _of_mpi(found: Loaded) -> list[Finding]:
    return [*mpi.check_library(found), *mpi.check_launchers(found, mpi.launchers())]


def _of_cache(seen: list[Facts]) -> list[Finding]:
    """Whether numba can keep what it compiles."""
    broken = [each for each in seen if each.cache]
    if broken:
        text = f"numba cannot compile loops on {broken[0].host} and keep them: {broken[0].cache}"
        fix = "set NUMBA_CACHE_DIR to a folder that has room and can be written; versions: pip install 'dpnet[fast]'"
        return [fault("numba cache", text, fix)]
    if seen[0].versions["numba"] == "missing":
        return [ok("numba cache", "numba is not installed; loops by numpy, which is slower (extra: fast)")]
    return [ok("numba cache", "compiled loops are kept")]


def _of_products(group: World, seen: list[Facts]) -> list[Finding]:
    """All ranks multiply at the same time, as in a training."""
    with threads_kept():
        group.barrier()
        limit_threads(1)
        measured = group.allgather(everywhere(group, lambda: products.measure(seen[group.rank].products)))
    return products.check_products(seen, measured)


def _of_hosts(group: World) -> list[Finding]:
    """Links and clocks, where there are several hosts."""
    found = links.check_links(links.measure_links(group))
    names, times = clocks(group)
    if len(set(names)) > 1:
        notes = apart(names, times)
        found += [warning("clocks", text, "let NTP or chrony set them") for text in notes]
        found += [] if notes else [ok("clocks", f"less than {MOST_APART_S:.0f} s apart")]
    return [*found, *mpi.check_losses(group)]


def _of_directory(group: World, path: Path, *, is_shared: bool) -> list[Finding]:
    """The run directory, as the first rank of every host finds it."""
    looked = disk.look(path) if group.node.rank == 0 else None
    seen = [one for one in group.allgather(looked) if one is not None]
    found = disk.check_disk(seen[0])
    found += [finding for one in seen[1:] for finding in disk.check_disk(one) if finding.verdict != "ok"][:1]
    try:
        check_shared(group, Path(seen[0].path), expected=is_shared)
    except DpnetError as error:
        found.append(fault(disk.NAME, str(error), disk.ELSEWHERE))
    return found


def _of_data(group: World, job: Job) -> list[Finding]:
    """The data of the job, as every host sees them."""
    try:
        source = open_data(job, group)
        compare_hosts(group, source.splits, source.name, source.schema)
    except DpnetError as error:
        return [fault("data", str(error), "mend the data or data.source, as this line says")]
    numbers = ", ".join(f"{len(split):,} {name}" for name, split in source.splits.items())
    return [ok("data", f"{source.name}: {numbers} samples, the same on every host")]
