"""What does not go with `train.workers`, or not without it: checked with all other keys, see `check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dpnet.config.keys import KEYS, setting

if TYPE_CHECKING:
    from dpnet.config.check import Given

ONLY_WITH_WORKERS = ("train.sync_every", "optimizer.outer_learning_rate", "optimizer.outer_momentum")


def of_workers(given: Mapping[str, Given], value: Callable[[str], Any]) -> Iterator[str]:
    """A sentence for each problem.

    Args:
        given: what the user gave.
        value: the value of a key, given or default; None if a wrong one was given.
    """
    workers = value("train.workers")
    if workers is None:
        return
    if not workers:
        # A file may spell out a default, as the template does: a default asks for nothing.
        for name in ONLY_WITH_WORKERS:
            if value(name) not in (None, KEYS[name].default):
                seen = f"{name} is {value(name)}, which has no effect without workers"
                yield f"{seen}; set train.workers, to 4 for example, or leave it out ({given[name].place})"
        return
    seen = f"train.workers is {workers}"
    if value("train.reproducible_shards"):
        place = given["train.reproducible_shards"].place
        yield f"{seen}, which gives the same bits on any number of ranks; leave train.reproducible_shards out ({place})"
    if (reducer := value("train.reducer")) in ("allreduce", "joint"):
        place = given["train.reducer"].place
        yield f'{seen}, and {setting("train.reducer", reducer)}; with workers it must be "auto" or "shards" ({place})'
    size = value("train.global_batch_size")
    if size is not None and size < workers:
        place = given["train.workers"].place
        yield f"{seen}; it must be at most train.global_batch_size, {size}: each takes samples in a step ({place})"
