"""The folder of a job's checkpoints: which exist, which is whole, which may be deleted.

    checkpoints/
        step-00000115/  step-00000138/
        latest -> step-00000138
        best -> step-00000115

What stands for `latest` and `best` where there are no links is told in `pointers`.

Only rank 0 touches the folder, and rank 0 alone decides which checkpoint to resume from: on a network file system, two
ranks can see two different lists.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.format import STEP_NAME, Checkpoint, Run
from dpnet.checkpoint.manifest import read_manifest
from dpnet.checkpoint.pointers import BEST, LATEST, point, pointed, replace_copy
from dpnet.errors import CheckpointError, ConfigError
from dpnet.files import UNFINISHED, sync_path, unfinished, writing


class CheckpointFolder:
    """The checkpoints of one job.

    Args:
        path: the folder; it is made when the first checkpoint is written.
        keep_last: how many of the newest are kept.
    """

    def __init__(self, path: Path, *, keep_last: int) -> None:
        self.path = path
        self.keep_last = keep_last

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, in order."""
        return steps_in(self.path)

    def save(
        self, content: Checkpoint, *, best_step: int | None, after: Iterable[Path] = (), run: Run = checkpoint.at_once
    ) -> None:
        """Write a checkpoint, move `latest` and `best`, and delete checkpoints that need not be kept.

        Args:
            content: the checkpoint.
            best_step: step of the checkpoint that is kept as the best one; None: there is none.
            after: files that the disk must have before the checkpoint is there, if they exist.
            run: see checkpoint.write.

        Raises:
            OutputError: the checkpoint or a link could not be written, or an old checkpoint not be deleted. Every
                checkpoint in the folder is whole.
        """
        for path in after:
            with writing(path), contextlib.suppress(FileNotFoundError):
                sync_path(path)
        checkpoint.write(self.path, content, run)
        with writing(self.path):
            point(self.path / LATEST, content.step)
            if best_step is not None and best_step in self.steps():
                point(self.path / BEST, best_step)
            else:
                (self.path / BEST).unlink(missing_ok=True)  # It may stand for one that is the best no more.
            kept = {*self.steps()[-self.keep_last :], best_step}
            for step in set(self.steps()) - kept:
                self._delete(step)
            self.mend_links()

    def mend_links(self) -> None:
        """Repair links whose checkpoint is gone: `latest` moves back to the newest one, if any; `best` is removed."""
        steps = self.steps()
        for name in (LATEST, BEST):
            link = self.path / name
            if os.path.lexists(link) and not os.path.exists(pointed(link)):
                if name == LATEST and steps:
                    point(link, steps[-1])
                else:
                    link.unlink()

    def restore(self) -> None:
        """Give checkpoints back their names that were to be replaced when their training was killed.

        Raises:
            OutputError: one cannot be renamed.
        """
        with writing(self.path):
            for old in self.path.glob(UNFINISHED + checkpoint.REPLACED + "*"):
                checkpoint.restore(old)

    def clean(self) -> None:
        """Delete what an earlier run left half-written or half-deleted, and copies in the place of links."""
        for leftover in self.path.glob(UNFINISHED + "*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        for name in (LATEST, BEST):
            replace_copy(self.path / name)

    def _delete(self, step: int) -> None:
        # Rename first: a run that dies in between leaves a temporary name, not half a checkpoint.
        doomed = unfinished(self.path / ("deleted-" + checkpoint.step_name(step)))
        (self.path / checkpoint.step_name(step)).rename(doomed)
        shutil.rmtree(doomed)


def steps_in(folder: Path) -> list[int]:
    """Steps that have a checkpoint in a folder, in order.

    Raises:
        CheckpointError: the folder exists and cannot be listed. That must not pass for an empty folder: the training
            would start anew.
    """
    try:
        matches = map(STEP_NAME.fullmatch, os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return []  # There is no such folder, and cannot be.
        raise CheckpointError(f"cannot list {folder}: {error.strerror or error}") from error
    # A name with more zeros than `step_name` writes would be another directory.
    return sorted(step for match in matches if match and checkpoint.step_name(step := int(match[1])) == match[0])


def resolve(path: Path) -> Path:
    """The checkpoint directory that a path means: itself, or the newest of a run or checkpoint folder.

    Raises:
        CheckpointError: there is none.
    """
    path = pointed(path)
    if os.path.exists(path / "manifest.json"):
        return path.resolve()
    for folder in (path / "checkpoints", path):
        steps = steps_in(folder)
        if steps:
            return folder / checkpoint.step_name(steps[-1])
    state = "holds no checkpoint" if os.path.exists(path) else "does not exist"
    raise CheckpointError(
        f"{path} {state}; give a checkpoint directory (RUN/checkpoints/step-...) or the run directory itself"
    )


def best_in(folder: Path) -> int | None:
    """Step of the best checkpoint in a folder of checkpoints; None: none is kept as that.

    Where there is no `best`, as the folder was copied by a program that leaves links out, the newest checkpoint tells.
    """
    steps, best = steps_in(folder), None
    if match := STEP_NAME.fullmatch(os.path.basename(os.path.realpath(pointed(folder / BEST)))):
        best = int(match[1])
    elif steps:
        with contextlib.suppress(CheckpointError):
            manifest = read_manifest(folder / checkpoint.step_name(steps[-1]) / "manifest.json")
            best = manifest["progress"].get("best_step")
    return best if best in steps else None


class Picked(NamedTuple):
    """A checkpoint for whoever uses a trained network.

    Attributes:
        path: its directory.
        which: "best" or "newest" of its run; empty: it was asked for by its own path.
        text: the same in a sentence; empty likewise.
    """

    path: Path
    which: Literal["best", "newest", ""] = ""
    text: str = ""


def pick(path: Path, *, last: bool = False) -> Picked:
    """The checkpoint directory that a path means to whoever uses a trained network.

    Args:
        path: of a checkpoint, or of a run or checkpoint folder: its best checkpoint, or its newest if none is kept as
            the best.
        last: the newest in any case.

    Raises:
        CheckpointError: there is none.
        ConfigError: `last` is asked of a checkpoint.
    """
    newest = resolve(path)
    if newest == pointed(path).resolve():
        if last:
            run = newest.parent.parent if newest.parent.name == "checkpoints" else newest.parent
            raise ConfigError(
                f"{path} is one checkpoint; the last one can be asked of a run: give {os.path.relpath(run)}"
            )
        return Picked(newest)
    step, best = steps_in(newest.parent)[-1], best_in(newest.parent)
    if last or best is None:
        why = "" if last else "; none is kept as the best"
        return Picked(newest, "newest", f"{path}: the newest checkpoint, step {step:,}{why}")
    other = "the newest too" if best == step else f"--last takes the newest, step {step:,}"
    text = f"{path}: the best checkpoint, step {best:,}; {other}"
    return Picked(newest.parent / checkpoint.step_name(best), "best", text)


def newest_whole(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that can be read and verified; None if there is no checkpoint at all.

    Args:
        folder: of checkpoints.
        warn: is called with a sentence for each damaged one that is passed over.

    Raises:
        CheckpointError: there are checkpoints, and all are damaged.
    """
    steps = steps_in(folder)
    for step in reversed(steps):
        try:
            return checkpoint.read(folder / checkpoint.step_name(step))
        except CheckpointError as error:
            warn(f"{error}; trying the one before")
    if steps:
        raise CheckpointError(
            f"none of the {len(steps)} checkpoints in {folder} is whole; start anew with --resume never"
        )
    return None
