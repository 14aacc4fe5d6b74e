"""Whether all ranks were given the same: the command, the job, the data.

Ranks that were given different things would train on a mixture, wait for one another for ever, or follow rank 0
without a word, where the user wanted a training for each of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence

from dpnet.about import __version__
from dpnet.comm.group import Group
from dpnet.environment import own_training, rank_variables
from dpnet.errors import ConfigError
from dpnet.text import counted, shorten, words

MOST_NAMED = 3
"""Differences that an error names, and values of each."""
MOST_HOSTS = 8
"""Hosts that an error names."""
MOST_CHARACTERS = 240
VERSION = "the version of dpnet"


def check_alike(group: Group, given: Mapping[str, str | None], *, of_hosts: bool = False) -> None:
    """Raise unless all ranks were given the same; a collective, and a second one only where they were not.

    Args:
        group: all ranks.
        given: what this rank was given: values by the names that an error uses. None: this rank does not know, and
            takes any value. A name that other ranks lack is compared with none of theirs.
        of_hosts: it is what the host of a rank has, and not what the rank was told: an error names hosts.

    Raises:
        ConfigError: they differ; the message has the values and their ranks or hosts.
    """
    given = {VERSION: __version__, **given}
    if found := unlike(group, given, of_hosts={*given} if of_hosts else {VERSION}):
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        advice = "all ranks of a job work together, and must be given the same"
        if VERSION in found:
            advice = "install the same version on every host: pip install dpnet==VERSION"
        elif of_hosts:
            advice = "every host must see the same data: copy them from one place, or keep them where all see them"
        elif rank_variables():
            advice += f". {own_training()}"
        raise ConfigError(
            f"the ranks disagree: {'; '.join([*found.values()][:MOST_NAMED])}{more}; {advice}", agreed=True
        )


def unlike(group: Group, given: Mapping[str, str | None], *, of_hosts: Collection[str] = ()) -> dict[str, str]:
    """What ranks were given differently, a text for each name; a collective, and a second one only if there is any.

    Args:
        group: all ranks.
        given: see `check_alike`.
        of_hosts: the names of what hosts have, and not ranks.
    """
    digests = group.allgather(hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest())
    if len(set(digests)) == 1:
        return {}
    values, hosts = zip(*group.allgather((dict(given), group.host)), strict=True)
    return differences(values, hosts, of_hosts)


def differences(
    given: Sequence[Mapping[str, str | None]], hosts: Sequence[str] = (), of_hosts: Collection[str] = ()
) -> dict[str, str]:
    """What ranks were given differently, a text for each name.

    Args:
        given: by rank.
        hosts: by rank.
        of_hosts: the names of what hosts have: hosts are named, and not ranks, where all ranks of a host have the same.
    """
    found = {}
    for name in dict.fromkeys(name for values in given for name in values):
        ranks_of: dict[str, list[int]] = {}
        for rank, values in enumerate(given):
            if (value := values.get(name)) is not None:
                ranks_of.setdefault(value, []).append(rank)
        if len(ranks_of) > 1:
            found[name] = f"{name} is {_values(ranks_of, hosts if name in of_hosts else ())}"
    return found


def _values(ranks_of: Mapping[str, list[int]], hosts: Sequence[str]) -> str:
    hosts_of = {value: list(dict.fromkeys(hosts[rank] for rank in ranks)) for value, ranks in ranks_of.items() if hosts}
    by_host = [host for names in hosts_of.values() for host in names]
    if len(by_host) > 1 and len(set(by_host)) == len(by_host):
        where = {value: f"on {_some(names)}" for value, names in hosts_of.items()}
    else:
        where = {value: f"on {_ranks(ranks)}" for value, ranks in ranks_of.items()}
    texts = [f"{shorten(value, MOST_CHARACTERS)} {where[value]}" for value in ranks_of]
    more = [counted(len(texts) - MOST_NAMED, "more value")] if len(texts) > MOST_NAMED else []
    return words([*texts[:MOST_NAMED], *more], "and")


def _some(hosts: list[str]) -> str:
    more = [f"{len(hosts) - MOST_HOSTS} more"] if len(hosts) > MOST_HOSTS else []
    return words([*hosts[:MOST_HOSTS], *more], "and")


def _ranks(ranks: list[int]) -> str:
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    return f"ranks {', '.join(map(str, ranks[:8]))}{' ...' if len(ranks) > 8 else ''}"
