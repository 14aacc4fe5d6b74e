"""Whether all hosts of a job are alike: in the data that they see, in what they compute with, in their clocks.

What would change the result without a word is refused: other data, and with `reproducible_shards` whatever the bits
depend on. The rest is told. A job on one host has nothing to compare, and spends nothing on it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dpnet.comm.agree import everywhere
from dpnet.comm.alike import MOST_NAMED, unlike
from dpnet.comm.group import Group, World
from dpnet.comm.topology import on_one_host
from dpnet.compute.fingerprint import blas_in_words
from dpnet.compute.products.choose import instructions
from dpnet.compute.products.wheels import metadata
from dpnet.data.seen_here import in_words, remark, sums_of_share
from dpnet.data.split import Split
from dpnet.data.tables.schema import Schema
from dpnet.errors import ConfigError, DataError

MOST_APART_S = 3.0
"""Seconds between the clocks of two hosts that are worth a note; all of them are read within a fraction of one."""


def compare_hosts(
    group: World,
    splits: Mapping[str, Split],
    source: str,
    schema: Schema | None = None,
    numerics: Mapping[str, Any] | None = None,
    *,
    reproducible: bool = False,
) -> list[str]:
    """Compare what the hosts have; collective. Data are read, each rank its share of what its host reads.

    Args:
        group: all ranks.
        splits: the data, by name; they may have no labels.
        source: of the data, for messages.
        schema: of a table.
        numerics: of this process, see `compute.fingerprint`; None: they are not compared.
        reproducible: bits must not depend on where ranks run.

    Returns:
        notes on what differs and may differ; the same on every rank.

    Raises:
        DataError: hosts see other data.
        ConfigError: hosts compute other bits, and these must be the same.
    """
    if on_one_host(group):
        return []
    node = group.node
    shares = node.allgather(everywhere(group, lambda: sums_of_share(splits, node.rank, node.world_size)))
    data = in_words(splits, schema, shares)
    of_bits = {} if numerics is None else _of_bits(numerics, with_threads=reproducible)
    given = {**data, **of_bits, **_versions(group)}
    found = unlike(group, given, of_hosts=given)
    refuse_data([text for name, text in found.items() if name in data], source, remark(splits))
    if reproducible:
        _refuse_bits([text for name, text in found.items() if name in of_bits])
    notes = [f"hosts differ: {text}; see `dpnet doctor`" for text in found.values()]
    return [*notes, *apart(*clocks(group))]


def refuse_data(texts: Sequence[str], source: str, remark: str) -> None:
    """Raises DataError if there are differences; it names the first of them."""
    if texts:
        raise DataError(
            f"the hosts see other data in {source}: {'; '.join(texts[:MOST_NAMED])}{remark}. Copy them "
            "to every host from one place, or keep them where all hosts see the same files.",
            agreed=True,
        )


def _refuse_bits(texts: Sequence[str]) -> None:
    if texts:
        raise ConfigError(
            "train.reproducible_shards or train.workers asks for bits that do not depend on hosts, and these compute "
            f"with others: {'; '.join(texts[:MOST_NAMED])}. Start on hosts of one kind (srun --constraint=...), with "
            "the same packages, or leave the key out",
            agreed=True,
        )


def _of_bits(numerics: Mapping[str, Any], *, with_threads: bool) -> dict[str, str | None]:
    """What bits depend on, see `fingerprint`, as texts by what they tell of."""
    # Hosts with other numbers of cores are nothing odd where bits may depend on ranks anyway.
    libraries = [library if with_threads else {**library, "num_threads": None} for library in numerics["blas"]]
    products, version = numerics["products"], numerics["products_version"] or ""
    return {
        "numpy": numerics["numpy"],
        "the library of matrix products": f"{products} {version}".strip(),
        "numpy's BLAS": ", ".join(map(blas_in_words, libraries)) or "unknown",
        "the processor": instructions() or "unknown",
    }


def _versions(group: World) -> dict[str, str | None]:
    """Versions that no bit depends on, or that are compared elsewhere."""
    found: dict[str, str | None] = {"Python": platform.python_version(), "the MPI library": group.library or None}
    for name in ("mpi4py", "numba"):
        try:
            found[name] = metadata().version(name)
        except metadata().PackageNotFoundError:
            found[name] = "missing"
    return found


def clocks(group: Group) -> tuple[list[str], list[float]]:
    """The hosts of all ranks, and the time there, read at the same moment; collective."""
    group.barrier()
    hosts, times = zip(*group.allgather((group.host, time.time())), strict=True)
    return list(hosts), list(times)


def apart(hosts: Sequence[str], times: Sequence[float]) -> list[str]:
    """A note if clocks are apart.

    Args:
        hosts: of all ranks.
        times: there, in seconds.
    """
    first, last = times.index(min(times)), times.index(max(times))
    seconds = times[last] - times[first]
    if hosts[first] == hosts[last] or seconds < MOST_APART_S:
        return []
    return [
        f"the clock of {hosts[last]} is {seconds:.0f} s ahead of that of {hosts[first]}: times in logs and of files do "
        "not tell what came first; set both by one time server (NTP)"
    ]
