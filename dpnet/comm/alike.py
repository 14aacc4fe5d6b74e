"""Whether all ranks were given the same: the command, the job, the data.

Ranks that were given different things would train on a mixture, wait for one another for ever, or follow rank 0
without a word, where the user wanted a training for each of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from dpnet.about import __version__
from dpnet.comm.group import Group
from dpnet.environment import own_training, rank_variables
from dpnet.errors import ConfigError
from dpnet.text import counted, shorten, words

MOST_NAMED = 3
"""Differences that an error names, and values of each."""
MOST_CHARACTERS = 240
VERSION = "the version of dpnet"


def check_alike(group: Group, given: Mapping[str, str | None]) -> None:
    """Raise unless all ranks were given the same; a collective, and a second one only where they were not.

    Args:
        group: all ranks.
        given: what this rank was given: values by the names that an error uses. None: this rank does not know, and
            takes any value. A name that other ranks lack is compared with none of theirs.

    Raises:
        ConfigError: they differ; the message has the values and their ranks.
    """
    given = {VERSION: __version__, **given}
    digests = group.allgather(hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest())
    if len(set(digests)) == 1:
        return
    if found := differences(group.allgather(given)):
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        advice = "all ranks of a job work together, and must be given the same"
        if rank_variables():
            advice += f". {own_training()}"
        raise ConfigError(f"the ranks disagree: {'; '.join(found[:MOST_NAMED])}{more}; {advice}", agreed=True)


def differences(given: list[dict[str, str | None]]) -> list[str]:
    """What ranks were given differently, a text for each name; `given` is by rank."""
    found = []
    for name in dict.fromkeys(name for values in given for name in values):
        ranks_of: dict[str, list[int]] = {}
        for rank, values in enumerate(given):
            if (value := values.get(name)) is not None:
                ranks_of.setdefault(value, []).append(rank)
        if len(ranks_of) > 1:
            found.append(f"{name} is {_values(ranks_of)}")
    return found


def _values(ranks_of: Mapping[str, list[int]]) -> str:
    texts = [f"{shorten(value, MOST_CHARACTERS)} on {_ranks(ranks)}" for value, ranks in ranks_of.items()]
    more = [counted(len(texts) - MOST_NAMED, "more value")] if len(texts) > MOST_NAMED else []
    return words([*texts[:MOST_NAMED], *more], "and")


def _ranks(ranks: list[int]) -> str:
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    return f"ranks {', '.join(map(str, ranks[:8]))}{' ...' if len(ranks) > 8 else ''}"
