"""Resuming: from which checkpoint a training goes on, which job wrote it, and on what its bits depend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import newest_whole, resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.compute.fingerprint import blas_in_words
from dpnet.config.file import from_dict
from dpnet.config.job import Job
from dpnet.errors import CheckpointError, ConfigError
from dpnet.text import listed, shorten


def choose(resume: str, checkpoints: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The checkpoint to go on from; None: start anew.

    Args:
        resume: "auto": the newest whole one in `checkpoints`, if any. "never": none. Else a path: of a checkpoint, or
            of a run directory, whose newest is taken.
        checkpoints: the folder of this job's checkpoints.
        warn: is called with a sentence for each damaged checkpoint that is passed over.

    Raises:
        CheckpointError: the checkpoint at the path, or every one in the folder, is damaged or missing.
    """
    if resume == "never":
        return None
    if resume == "auto":
        return newest_whole(checkpoints, warn)
    return checkpoint.read(resolve(Path(resume)))


def job_of(found: Checkpoint) -> Job:
    """The configuration of the training that wrote a checkpoint.

    Raises:
        CheckpointError: this dpnet does not know such a configuration.
    """
    try:
        return from_dict(found.manifest["config"], where="the checkpoint's manifest")
    except ConfigError as error:
        raise CheckpointError(f"the checkpoint was written by dpnet {found.manifest['dpnet']}: {error}") from error


def numerics_notes(found: Checkpoint, numerics: Mapping[str, Any], *, reproducible: bool, world_size: int) -> list[str]:
    """Sentences on what keeps this process from computing the same bits as the one that wrote a checkpoint.

    Args:
        found: the checkpoint.
        numerics: of this process, see `dpnet.compute.fingerprint`.
        reproducible: the bits do not depend on the number of ranks.
        world_size: number of ranks now.
    """
    if not reproducible and world_size != found.manifest["world_size"]:
        return []  # With another number of ranks the bits differ anyway.
    before = found.manifest["numerics"]
    notes = list(_others(before, numerics))
    notes += _other_blas(before.get("blas", []), numerics.get("blas", []))
    return [f"{note}: bits may differ from there on" for note in notes]


def _other_blas(before: object, now: list[Any]) -> list[str]:
    """A sentence, if matrix products were computed by another library, or in another way. Both as `fingerprint` gives.

    A checkpoint of an earlier dpnet also lists libraries that nothing was computed with.
    """
    old = {blas_in_words(library) for library in before} if isinstance(before, list) else {str(before)}
    new = {blas_in_words(library) for library in now}
    if new <= old:
        return []
    seen = shorten(listed(old), 1000)
    return [f"the library of matrix products is {listed(new)}, in the checkpoint it is {seen}"]


def _others(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on another numpy, on other matrix products, and on another version of their library."""

    def was(key: str) -> str:
        return shorten(str(before.get(key) or "unknown"), 1000)

    def differs(key: str) -> bool:
        return key in now and now[key] != before.get(key)

    if differs("numpy"):
        yield f"numpy is {now['numpy']}, in the checkpoint it is {was('numpy')}"
    if differs("products"):
        yield f"matrix products are computed by {now['products']}, in the checkpoint by {was('products')}"
    elif differs("products_version"):
        name = now.get("products", "the library of matrix products")
        yield f"{name} has version {now['products_version']}, in the checkpoint {was('products_version')}"
