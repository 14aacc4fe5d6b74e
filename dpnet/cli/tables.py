"""Tables for people: what a checkpoint holds, what a gradient check found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.contents import classes_of, fills_of
from dpnet.checkpoint.format import Checkpoint
from dpnet.checkpoint.resume import job_of
from dpnet.config.job import Job
from dpnet.config.model import METRICS
from dpnet.data.identity import eval_split_in
from dpnet.data.scaling import Scaling, check_targets_scaling
from dpnet.data.targets import SHOWN
from dpnet.data.tasks import KINDS
from dpnet.nn.gradcheck import TensorCheck
from dpnet.parallel.scores import scores_text
from dpnet.text import counted, shorten, table
from dpnet.training.progress import Progress


def checkpoint_table(path: Path, found: Checkpoint) -> str:
    """Layers, parameters, position, scores and origin of a checkpoint.

    Raises:
        CheckpointError: its manifest holds something that this dpnet does not know.
    """
    manifest = found.manifest
    progress, job = Progress.from_dict(manifest["progress"]), job_of(found)
    layers = [
        (name, "×".join(map(str, array.shape)), array.dtype, f"{array.size:,}")
        for name, array in sorted(found.model.items(), key=lambda item: checkpoint.layer_order(item[0]))
    ]
    measures = METRICS[job.model.task]
    total = sum(array.size for array in found.model.values())
    facts = [
        f"network      {'-'.join(map(str, manifest['sizes']))}, {job.model.activation}",
        f"step         {found.step:,}, epoch {manifest['epoch']} and {manifest['samples_of_epoch']:,} samples",
        f"optimizer    {job.optimizer.name}, learning rate {job.optimizer.learning_rate:g}",
        f"data         {job.data.source}: {manifest['data']['samples']:,} training samples",
        _outputs(found, job),
        f"digest       {checkpoint.digest(found.model)}",
        f"written by   {counted(manifest['world_size'], 'rank')}, dpnet {manifest['dpnet']}, "
        f"numpy {manifest['numerics']['numpy']}",
    ]
    if (fills := fills_of(found)) is not None:
        facts.insert(4, f"missing      {job.data.missing}: {fills.text()}")
    facts += _beginning(manifest.get("pretrained"), job)
    if progress.eval_step >= 0:
        facts.append(
            f"{eval_split_in(manifest['data'])} scores  {scores_text(progress.measures('eval', measures))}, "
            f"{progress.eval_samples:,} samples, at step {progress.eval_step}"
        )
    if progress.best_step >= 0:
        progress.complete_best(job.evaluate.metric)
        best = scores_text(progress.measures("best", measures))
        facts.append(f"best so far  {best}, at step {progress.best_step}")
    # The content of a checkpoint must not control the terminal.
    facts = [fact if fact.isprintable() else repr(fact) for fact in facts]
    tensors = table(("tensor", "shape", "dtype", "parameters"), [*layers, ("all", "", "", f"{total:,}")])
    return "\n".join([f"checkpoint {path}", "", tensors, "", *facts])


def _beginning(kept: Any, job: Job) -> list[str]:
    """What the training began with, and which layers were not trained."""
    keys = () if not isinstance(kept, dict) else (shorten(str(kept.get(key)), 200) for key in ("path", "digest"))
    began = ["began with   {}, digest {}".format(*keys)] if keys else []
    return began + ([f"frozen       {', '.join(job.model.freeze)}"] if job.model.freeze else [])


def _outputs(found: Checkpoint, job: Job) -> str:
    """The classes or labels that the outputs stand for, or the numbers that they are once they are scaled back."""
    classes = classes_of(found)
    if len(classes):
        return f"{KINDS[job.model.task].words:13}{len(classes):,}: {classes.text()}"
    scaling, outputs = Scaling.from_tensors(found.scaling), found.manifest["sizes"][-1]
    check_targets_scaling(scaling, job.model.task, outputs)
    assert scaling.targets is not None
    pairs = zip(scaling.targets.offset[:SHOWN], scaling.targets.units, strict=False)
    of_outputs = "; ".join(
        f"mean {offset:g}, standard deviation {'0 or 1' if unit == 1 else f'{unit:g}'}" for offset, unit in pairs
    )
    more = f"; and {outputs - SHOWN} more" if outputs > SHOWN else ""
    return f"targets      {counted(outputs, 'number')}: {of_outputs}{more}; loss {job.model.loss}"


def gradcheck_table(results: Sequence[TensorCheck], limit: float) -> str:
    """One row per tensor, and a verdict."""
    rows = [
        (
            result.name,
            "×".join(map(str, result.shape)),
            result.compared,
            result.kinks,
            f"{result.max_abs_error:.1e}",
            f"{result.relative_error:.1e}",
            "ok" if result.ok else "WRONG",
        )
        for result in results
    ]
    wrong = [result.name for result in results if not result.ok]
    verdict = (
        f"the gradients of {', '.join(wrong)} are wrong (relative error above {limit:g})"
        if wrong
        else f"all gradients agree with central differences (relative error at most {limit:g})"
    )
    header = ("tensor", "shape", "compared", "at kinks", "largest error", "relative error", "verdict")
    at_kinks = sum(result.kinks for result in results)
    note = f"{at_kinks} left out, at kinks of the activation or the loss, without a derivative\n" if at_kinks else ""
    return f"{table(header, rows)}\n{note}{verdict}"
