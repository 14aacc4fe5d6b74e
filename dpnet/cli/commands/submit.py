"""`dpnet submit`: a training as a batch job of Slurm or PBS."""

from __future__ import annotations

import argparse
import functools
import shlex
from pathlib import Path

from dpnet.cli.commands.shared import read_job
from dpnet.cli.parser import overrides
from dpnet.cli.start_options import ASKED
from dpnet.comm.group import World
from dpnet.config.job import Job
from dpnet.errors import ConfigError
from dpnet.launch.options import OPEN_HERE
from dpnet.launch.submit.choose import choose_scheduler
from dpnet.launch.submit.follow import exit_code, follow
from dpnet.launch.submit.request import Request, read_request
from dpnet.launch.submit.submission import Submission
from dpnet.launch.submit.tasks import SEED, submit
from dpnet.text import complain
from dpnet.training.opening import foretell
from dpnet.training.start import foresee

OUTPUT = "output.dir"


def run(arguments: argparse.Namespace, group: World) -> int:
    """Check a training, show its script, submit that, and perhaps wait; returns the exit code."""
    if group.world_size > 1:
        raise ConfigError("dpnet submit queues ranks itself; start it without a launcher", agreed=True)
    profile = None if arguments.profile is None else Path(arguments.profile).expanduser()
    request = read_request({key: getattr(arguments, key) for key in (*ASKED, "srun")}, profile)
    asked = _submission(arguments, request, read_job(arguments))
    source = foretell(asked.job, request.world_size)
    path = asked.place(len(source.train))
    for job in asked.jobs(path):
        foresee(job, "auto", source)
    if asked.is_complete(path, len(source.train)):
        print(f"{path} is complete already: nothing is submitted")
        return 0
    print(asked.script(path), flush=True)
    if arguments.dry_run:
        return 0
    number = submit(asked.scheduler, asked.write(path))
    return _tell(asked, path, number, waits=arguments.wait)


def _submission(arguments: argparse.Namespace, request: Request, job: Job) -> Submission:
    settings = [text for text in overrides(arguments) if text.partition("=")[0].strip() != OUTPUT]
    seeds: range = arguments.seeds or range(0)
    if len(seeds) == 1:
        settings, seeds = [*settings, f"train.seed={seeds[0]}"], range(0)
    return Submission(
        scheduler=choose_scheduler(request.scheduler, must_be_here=not arguments.dry_run),
        request=request,
        job=job,
        job_file=None if arguments.job is None else _text(arguments.job),
        settings=tuple(word for text in settings for word in ("--set", text)),
        seeds=seeds,
    )


def _text(path: str) -> str:
    if path.startswith(OPEN_HERE) or not Path(path).is_file():
        raise ConfigError(f"{path} is no file that can be copied for a job that waits; give a file")
    return Path(path).read_text(encoding="utf-8")


def _tell(asked: Submission, path: Path, number: str, *, waits: bool) -> int:
    """Say where the job is, and wait for its end if that is wanted; returns the exit code."""
    training, stop = asked.training(path), shlex.join(asked.scheduler.stop(number))
    log = asked.scheduler.log(training, asked.request, number)
    seeds = f", with each of {len(training.seeds)} seeds for {SEED}" if training.seeds else ""
    print(f"submitted: job {number}")
    print(f"its log:   {log}{seeds}")
    print(f"to stop:   {stop}", flush=True)
    if not waits:
        return 0
    show = functools.partial(print, flush=True)
    try:
        tasks = follow(asked.scheduler, number, None if training.seeds else log, complain, show)
    except KeyboardInterrupt:
        complain(f"job {number} goes on; to stop it: {stop}")
        raise
    return exit_code(tasks, training.run_dirs)
