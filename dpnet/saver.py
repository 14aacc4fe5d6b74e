"""Stand-in."""

from __future__ import annotations

from collections.abc import Callable

from dpnet.checkpoint import Checkpoint
from dpnet.checkpoints import CheckpointFolder


class NoSaver:
    def save(self, content: Checkpoint, *, best_step: int | None, must: bool = False) -> None: ...
    def poll(self) -> bool:
        return False

    def check(self) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Saver(NoSaver):
    def __init__(self, folder: CheckpointFolder, *, max_failed: int, tell: Callable[[str], None]) -> None:
        self._folder = folder

    def save(self, content: Checkpoint, *, best_step: int | None, must: bool = False) -> None:
        from dataclasses import replace

        import numpy as np

        c = {k: {n: np.ascontiguousarray(a) for n, a in getattr(content, k).items()} for k in ("model", "optimizer")}
        self._folder.save(replace(content, **c), best_step=best_step)
