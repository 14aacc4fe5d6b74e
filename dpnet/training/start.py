"""Where a training starts: in which directory, and at step 0 or from a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpnet.checkpoint.folder import resolve
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.manifest import read_manifest
from dpnet.checkpoint.resume import choose, numerics_notes
from dpnet.checkpoint.tensors import state_vectors
from dpnet.comm.agree import everywhere, on_root
from dpnet.comm.group import Group
from dpnet.config.job import Job
from dpnet.data.identity import eval_split_in
from dpnet.data.scaling import Scaling, check_targets_scaling
from dpnet.data.sources import DataSource
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Layout
from dpnet.output.run_directory import CONFIG, RunDirectory, holds
from dpnet.output.screen import current
from dpnet.output.shared import check_shared
from dpnet.state.banks import StateVectors
from dpnet.training.build import build_layout, names_of_vectors
from dpnet.training.directory import Directory, has_run
from dpnet.training.known import Known, known_of, known_run, recorded_pretrained
from dpnet.training.prepare import TrainingData
from dpnet.training.progress import Progress


@dataclass(frozen=True)
class StartingPoint:
    """Where a training starts.

    Attributes:
        progress: how far it is already.
        vectors: parameters and optimizer vectors; None: initialise them.
        scaling: of the input; None: measure the training data.
        is_own: whether the checkpoint, if any, belongs to this run. False: all that is in the run directory is set
            aside.
        changes: of the job since step 0, with the steps from which on they hold; kept in every checkpoint.
        notes: what differs from the run so far, for the user; of no use if no step is left to take.
        told: lines on what it begins with, for the user.
        pretrained: what the run began with, as its checkpoint records it; None: initial parameters, or it begins now.
        dropped_best: step of a best evaluation that test data had chosen, as an earlier dpnet let them; it is the best
            no more. -1: there is none.
    """

    progress: Progress
    vectors: StateVectors | None = None
    scaling: Scaling | None = None
    is_own: bool = True
    changes: Sequence[Any] = ()
    notes: Sequence[str] = ()
    told: Sequence[str] = ()
    pretrained: Mapping[str, Any] | None = None
    dropped_best: int = -1


def foresee(job: Job, resume: str, source: DataSource) -> bool:
    """Whether the training will go on from a checkpoint, as far as that is known before the data are read; on rank 0.

    Raises:
        CheckpointError: the job does not fit the run or the checkpoint, whatever the data are.
    """
    num_samples = len(source.train)
    if resume == "never":
        return False
    if resume != "auto":
        path = resolve(Path(resume))
        known = known_of(Path(resume), read_manifest(path / "manifest.json"))
        is_own = job.output.dir is None or holds(Path(job.output.dir), path)
        _judge(known, job, num_samples, None, strict=is_own, is_checkpoint=True)
        return True
    if job.output.dir is None:
        return has_run(job, num_samples)
    run = known_run(Path(job.output.dir))
    if run is not None:
        _judge(run, job, num_samples, None, strict=True)
    return run is not None and run.step > 0


def choose_start(
    job: Job, group: Group, directory: Directory, resume: str, data: TrainingData, numerics: Mapping[str, Any]
) -> tuple[RunDirectory, StartingPoint]:
    """Where a training starts; rank 0 decides, and every rank gets the same. Collective.

    Args:
        job: the configuration.
        group: all ranks.
        directory: of the training, which has it from now on.
        resume: see `run.train`.
        data: of the training.
        numerics: of this process, see `compute.fingerprint`.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or does not fit the job.
        OutputError: another training has the run directory, or a host does not see it.
    """

    def find() -> tuple[Path, Checkpoint | None, bool, Sequence[str], Sequence[str]]:
        tell = current().say
        run_dir = directory.take(data, resume, tell)
        run_dir.checkpoints.restore()
        found = choose(resume, run_dir.checkpoints.path, tell)
        # A new training belongs to its run.
        is_own = resume in ("auto", "never") or run_dir.holds(resolve(Path(resume)))
        if found is None:
            return run_dir.path, None, is_own, (), ()
        is_finished = resume == "auto" and run_dir.read_summary() is not None
        known = known_of(run_dir.path if resume == "auto" else Path(resume), found.manifest, is_finished=is_finished)
        strict = is_own or job.output.dir is None
        notes, changes = _judge(known, job, len(data.source.train), data, strict=strict, is_checkpoint=resume != "auto")
        notes += numerics_notes(found, numerics, reproducible=bool(job.train.fixed_shards), world_size=group.world_size)
        return run_dir.path, found, is_own, changes, notes

    path, found, is_own, changes, notes = on_root(group, find)
    check_shared(group, path, expected=job.output.shared)
    run_dir = directory.at(path, data)
    if found is None:
        return run_dir, StartingPoint(Progress(), is_own=is_own)
    start = start_from(found, job, build_layout(job, data.source), group, is_own=is_own)
    began = recorded_pretrained(found.manifest)
    notes = [*notes, *_dropped(start.dropped_best)]
    return run_dir, dataclasses.replace(start, changes=changes, notes=notes, pretrained=began)


def _judge(
    known: Known, job: Job, num_samples: int, data: TrainingData | None, *, strict: bool, is_checkpoint: bool = False
) -> tuple[list[str], list[str]]:
    """Whether a job may go on from what is known.

    Args:
        known: the run or the checkpoint.
        job: the job.
        num_samples: of its training data.
        data: of the job; None: they were not read yet, and are not compared.
        strict: the job goes on in the directory of the run. Else it may change all but the state.
        is_checkpoint: `known` is the checkpoint that the user named.

    Returns:
        notes for the user, and the changes of the job since step 0.

    Raises:
        CheckpointError: it may not; the message lists all that differs, with both values.
    """
    fit = known.fit(job, num_samples)
    if fit is None:
        seen = f"the run in {known.path} has no config.toml that this dpnet can read, so its job is unknown"
        raise CheckpointError("\n".join([seen, *_ways(known, job, can_change=False, is_checkpoint=is_checkpoint)]))
    wrong = fit.refusals if strict else [*fit.state, *([fit.past] if fit.past else [])]
    other, unknown = ([], "") if data is None else known.other_data(data)
    if wrong or other:
        what = f"the checkpoint {known.path}, of" if is_checkpoint else f"the run in {known.path}, which is at"
        lines = [f"this job does not fit {what} step {known.step:,}:", *(f"  {text}" for text in (*wrong, *other))]
        can_change = strict and not (fit.state or fit.past or other)
        ways = _ways(known, job, can_change=can_change, is_checkpoint=is_checkpoint)
        raise CheckpointError("\n".join([*lines, *ways]))
    changes = [] if strict else [*fit.result.values(), *fit.length]
    notes = [note for note in fit.notes if not any(change.startswith(note) for change in changes)]
    notes += [*changes, *([unknown] if unknown else [])]
    return notes, [*known.changes, *(f"from step {known.step} on: {change}" for change in changes)]


def _ways(known: Known, job: Job, *, can_change: bool, is_checkpoint: bool) -> list[str]:
    """What the user can do about a job that does not fit."""
    if not is_checkpoint:
        ways = [("--output DIR", "train this job in another directory, DIR")]
        ways.append(("--resume never", "train this job in this directory; the run in it is set aside"))
    elif job.output.dir is None:
        ways = [("without --resume", "train this job from the start")]
    else:  # Without a job file this job is that of the run, which --resume alone names.
        ways = [("dpnet train JOB.toml --output DIR", f"train this job from the start{_job_file(known.path)}")]
    if can_change:
        way = f"--resume {known.path} --output DIR"
        ways.append((way, f"go on with this job from step {known.step:,}, in another directory, DIR"))
    width = min(40, max(20, *(len(option) for option, _ in ways)))
    return ["What you can do:", *(f"  {option:{width}}  {meaning}" for option, meaning in ways)]


def _job_file(path: Path) -> str:
    """Where the job file of a run is, given the run or one of its checkpoints; empty: it is not there."""
    files = [folder / CONFIG for folder in (path, path.parent.parent) if (folder / CONFIG).exists()]
    return f"; JOB.toml is your job file, or {files[0]} with the same --set" if files else ""


def start_from(found: Checkpoint, job: Job, layout: Layout, group: Group, *, is_own: bool) -> StartingPoint:
    """The starting point in a checkpoint; collective.

    Raises:
        CheckpointError: the checkpoint does not hold what this training needs.
    """

    def unpack() -> StartingPoint:
        vectors = state_vectors(found, layout, names_of_vectors(job), job.model.dtype)
        scaling = Scaling.from_tensors(found.scaling)
        check_targets_scaling(scaling, job.model.task, layout.sizes[-1])
        progress, dropped_best = _progress(found, job), -1
        if eval_split_in(found.manifest["data"]) == "test" and progress.best_step >= 0:
            dropped_best = progress.best_step
            progress.forget_best()
        state = StateVectors(*vectors, found.step)
        return StartingPoint(progress, state, scaling, is_own, dropped_best=dropped_best)

    return everywhere(group, unpack)


def _dropped(best_step: int) -> list[str]:
    """What is said of a best evaluation that test data had chosen; nothing if there is none."""
    if best_step < 0:
        return []
    chosen = f"step {best_step:,} was the best evaluation so far, as an earlier dpnet let the test data choose it"
    return [f"{chosen}; they choose nothing any more, and the next checkpoint is kept with no best one beside it"]


def _progress(found: Checkpoint, job: Job) -> Progress:
    progress = Progress.from_dict(found.manifest["progress"])
    if progress.step != found.step:
        raise CheckpointError(f"the checkpoint is of step {found.step}, but its progress of step {progress.step}")
    if found.manifest["config"].get("evaluate", {}).get("metric") != job.evaluate.metric:
        progress.forget_best()
    progress.complete_best(job.evaluate.metric)
    return progress
