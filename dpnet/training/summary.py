"""The summary of a training, and its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dpnet import whereabouts
from dpnet.checkpoint.format import digest, step_name
from dpnet.checkpoint.waiting import Waiting
from dpnet.comm.agree import on_root, on_root_asleep
from dpnet.config.model import METRICS
from dpnet.output.run_directory import CHECKPOINTS, RunDirectory
from dpnet.parallel.scores import MEASURES, scores_text
from dpnet.text import counted
from dpnet.training.final_scores import NOT_TESTED, FinalScores, final_scores
from dpnet.training.parts import Parts
from dpnet.training.progress import Progress
from dpnet.training.setup import Setup
from dpnet.whereabouts import HERE

Summary = dict[str, Any]
"""What summary.json holds."""


class Stopwatch:
    """Measures the time of a training since this process began or resumed it.

    Args:
        step: steps that were taken before.
    """

    def __init__(self, step: int) -> None:
        self._first_step = step
        self._began_s = self._counted_s = time.monotonic()

    def count(self, progress: Progress) -> None:
        """Add the time since the last call to the seconds of a progress."""
        now_s = time.monotonic()
        progress.seconds += now_s - self._counted_s
        self._counted_s = now_s

    def samples_per_s(self, parts: Parts, step: int) -> float:
        """Samples per second up to step `step`; the time includes all that the training did besides its steps."""
        samples = parts.plan.samples_before(step) - parts.plan.samples_before(self._first_step)
        return samples / max(time.monotonic() - self._began_s, 1e-9)


def finish(
    setup: Setup,
    run_dir: RunDirectory,
    parts: Parts,
    progress: Progress,
    stopwatch: Stopwatch,
    tell: Callable[[str], None],
) -> Summary:
    """Compute the final scores of a training that is complete, write its summary, and agree on it; collective.

    Args:
        setup: of the training.
        run_dir: where the summary goes.
        parts: of the training.
        progress: at its end.
        stopwatch: has measured it.
        tell: is called with a sentence if the disk keeps all waiting, or the best checkpoint is damaged.

    Raises:
        OutputError: the summary cannot be written.
        WorkerLost: a rank was lost meanwhile; raised on every rank or on none.
    """
    group = setup.group
    stopwatch.count(progress)
    speed = stopwatch.samples_per_s(parts, progress.step)
    tested = final_scores(setup, parts, run_dir, progress, tell)
    HERE.enter(whereabouts.END)
    steps = on_root(group, run_dir.checkpoints.steps)
    measures = METRICS[setup.job.model.task]
    sizes: dict[str, Any] = {"world_size": group.world_size, "samples_per_s": speed}
    summary = summarize(parts, progress, tested, **sizes, saved=steps, measures=measures)
    if setup.pretrained is not None:
        summary["pretrained"] = {key: setup.pretrained[key] for key in ("path", "digest")}
    waiting = Waiting(run_dir.path, tell)
    on_root_asleep(group, lambda: run_dir.write_summary(summary), lambda: waiting.tell("the summary"))
    group.conclude()
    return summary


def summarize(
    parts: Parts,
    progress: Progress,
    tested: FinalScores,
    *,
    world_size: int,
    samples_per_s: float,
    saved: Sequence[int],
    measures: Sequence[str] = METRICS["classification"],
) -> Summary:
    """The summary of a training that is complete, with these `measures`; the steps `saved` have a checkpoint."""
    return {
        "status": "finished" if progress.step >= parts.total_steps else "stopped_early",
        "steps": progress.step,
        "world_size": world_size,
        **scores_of(progress, saved, parts.eval_split, tested, measures),
        "samples_per_s": round(samples_per_s, 1),
        "seconds": round(progress.seconds, 3),
        "digest": digest(parts.layout.named(parts.state.params)),
        "ranks_lost": progress.ranks_lost,
    }


def scores_of(
    progress: Progress,
    saved: Sequence[int],
    eval_split: str,
    tested: FinalScores = NOT_TESTED,
    measures: Sequence[str] = METRICS["classification"],
) -> dict[str, Any]:
    """The scores of a training, as its summary has them: the last ones and, with validation data, the best ones.

    Args:
        progress: of the training.
        saved: see `summarize`.
        eval_split: see Parts.
        tested: the test scores at the end of a training with validation data.
        measures: of the task.
    """
    last, best = progress.measures("eval", measures), progress.measures("best", measures)
    of_eval = {"eval_split": eval_split, **{f"eval_{name}": last[name] for name in measures}}
    if eval_split == "test":
        return {**of_eval, **{f"test_{name}": last[name] for name in measures}}
    of_test, best_of_test = (
        {name: None if scores is None else scores.measures[name] for name in measures}
        for scores in (tested.last, tested.best)
    )
    return {
        **of_eval,
        "best_step": progress.best_step if progress.best_step >= 0 else None,
        **{f"best_{name}": best[name] for name in measures},
        "best_checkpoint": f"{CHECKPOINTS}/{step_name(progress.best_step)}" if progress.best_step in saved else None,
        **{f"test_{name}": of_test[name] for name in measures},
        **{f"best_test_{name}": best_of_test[name] for name in measures},
    }


def complete_again(
    found: Summary,
    progress: Progress,
    saved: Sequence[int],
    eval_split: str,
    tell: Callable[[str], None],
    measures: Sequence[str] = METRICS["classification"],
) -> Summary:
    """The summary of a training that was started again after its end; tells its scores.

    Args:
        found: the summary in its run directory. An earlier dpnet did not write all that it has now, and wrote what
            test data had chosen.
        progress: of the training.
        saved: see `summarize`.
        eval_split: see Parts.
        tell: is called with the scores, if there are any.
        measures: of the task.
    """
    scores = scores_of(progress, saved, eval_split, measures=measures)
    tested = {name: found[name] for name in scores if "test" in name and name in found}
    if text := told_scores({**scores, **tested}, progress.step):
        tell(text)
    kept = {name: value for name, value in found.items() if name in scores or not name.startswith("best_")}
    return {**kept, **{name: score for name, score in scores.items() if name not in found}}


def summary_text(summary: Summary) -> str:
    """What is said of a training that is complete: its scores, then how it ended."""
    ended = f"{summary['status'].replace('_', ' ')} after {counted(summary['steps'], 'step')}"
    ended = f"{ended}; trained for {summary['seconds']:.1f} s in all; {summary['run_dir']}"
    return "\n".join(filter(None, [told_scores(summary, summary["steps"]), ended]))


def told_scores(scores: Mapping[str, Any], steps: int) -> str:
    """Lines on the scores that `scores_of` has; empty: there was no evaluation."""
    if scores["eval_loss"] is None:
        return ""
    name, best_step, tested = scores["eval_split"], scores.get("best_step"), {"test scores": "test"}
    if best_step is None:  # Test data choose none.
        lines = [f"{name} scores  {_text(scores, 'eval')}"]
    elif best_step == steps:
        lines = [f"best {name} scores  {_text(scores, 'best')}, at the end"]
    else:
        lost = "" if scores["best_checkpoint"] else "; its checkpoint is not kept"
        lines = [
            f"best {name} scores  {_text(scores, 'best')}, at step {best_step:,}{lost}",
            f"last {name} scores  {_text(scores, 'eval')}",
        ]
        tested = {"test scores of the best": "best_test", "test scores of the last": "test"}
    for what, of in tested.items() if name != "test" else ():
        if scores[f"{of}_loss"] is not None:
            lines.append(f"{what}  {_text(scores, of)}")
    return "\n".join(lines)


def _text(scores: Mapping[str, Any], which: str) -> str:
    return scores_text({name: scores[f"{which}_{name}"] for name in MEASURES if f"{which}_{name}" in scores})
