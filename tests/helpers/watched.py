"""A job without MPI: ranks that wait for each other through a mapped file, each under a watchdog; one misbehaves."""

import contextlib
import ctypes
import mmap
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from helpers.patience import PATIENCE

from dpnet import whereabouts
from dpnet.resilience.watchdog import Watchdog, patience

DEED_STEPS = (5, 10)


@dataclass(frozen=True)
class Setting:
    """Settings of a job. The culprit does its deed in steps 5 and 10, or from 5 on; the patient rank waits long."""

    folder: str
    nodes: tuple[range, ...]
    deed: str
    culprit: int
    timeout_s: float = 1.0
    end: bool = False
    step_s: float = 0.01
    num_steps: int = 10**9
    floor_s: float = 60.0
    run: str = "run"
    patient: int = -1


class Job:
    """The processes of a job; a context that leaves none behind."""

    def __init__(self, setting):
        self.setting = setting
        self.folder = Path(setting.folder)
        self.run = self.folder / setting.run
        world_size = setting.nodes[-1].stop
        sizes = {"steps": 8 * world_size, **{host(n): 8 * whereabouts.LENGTH * len(n) for n in setting.nodes}}
        for name, size in sizes.items():
            (self.folder / name).write_bytes(bytes(size))
        self.processes = [self._start(rank) for rank in range(world_size)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def _start(self, rank):
        with open(self.folder / f"stderr-{rank}", "wb") as stderr:
            code = f"from helpers import watched; from helpers.watched import *; watched.work({self.setting!r}, {rank})"
            environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
            return subprocess.Popen([sys.executable, "-c", code], stderr=stderr, env=environ)

    def stderr(self, rank):
        return (self.folder / f"stderr-{rank}").read_text()

    def all_stderr(self):
        return "".join(self.stderr(rank) for rank in range(len(self.processes)))

    def wait_for(self, happened, seconds=15.0):
        """Wait until it has happened; fails, with all that was printed, if it does not in time."""
        until = time.monotonic() + PATIENCE * seconds
        while not (result := happened()):
            assert time.monotonic() < until, self.all_stderr()
            time.sleep(0.01)
        return result

    def deed_time(self):
        """The time.monotonic at which the culprit did its deed."""
        return float(self.wait_for(lambda: (path := self.folder / "deed").exists() and path.read_text()))

    def verdict(self, count=1):
        """The text of the count-th hang, and the seconds from the deed to it."""
        began = self.deed_time()
        self.wait_for(lambda: self.all_stderr().count("no step for") >= count)
        seconds = time.monotonic() - began
        told = [line for line in self.all_stderr().splitlines() if "no step for" in line]
        assert len(told) == count
        return told[-1], seconds


def host(node):
    return f"node{node.start}"


def mapped(path):
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("d")


def work(setting, rank):
    """Run one rank."""
    signal.alarm(60 * PATIENCE)  # Ends the rank even if it never releases the interpreter.
    patience.FLOOR_S = setting.floor_s
    if setting.patient >= 0:
        patience.FACTOR_ONCE = 3000 if rank == setting.patient else 1
    folder = Path(setting.folder)
    steps = mapped(folder / "steps")
    node = next(node for node in setting.nodes if rank in node)
    board = mapped(folder / host(node))
    here = whereabouts.Whereabouts()
    place = (rank - node.start) * whereabouts.LENGTH
    here.relocate(board[place : place + whereabouts.LENGTH])
    barrier(here, steps, rank, 1)
    watchdog = Watchdog(
        folder / setting.run,
        board,
        rank=rank,
        world_size=len(steps),
        node_ranks=node,
        host=host(node),
        timeout_s=setting.timeout_s,
        end=setting.end,
    )
    watchdog.start()
    for step in range(2, setting.num_steps):
        here.enter(whereabouts.FORWARD)
        slow = setting.deed == "slow" and step >= DEED_STEPS[0]
        time.sleep(setting.step_s * (10 if slow else 1))
        if step in DEED_STEPS and rank == setting.culprit:
            misbehave(setting.deed, folder, here)
        barrier(here, steps, rank, step)
        here.step_done(step)
    watchdog.stop()


def barrier(here, steps, rank, step):
    here.enter(whereabouts.REDUCE)
    here.wait(whereabouts.OPERATIONS.index("barrier"))
    steps[rank] = step
    while min(steps) < step:
        time.sleep(0.005)
    here.go_on()


def misbehave(deed, folder, here):
    draft = folder / f"deed-{os.getpid()}"
    draft.write_text(repr(time.monotonic()))
    draft.replace(folder / "deed")
    if deed == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed == "loop":
        while True:
            pass
    elif deed == "hold":
        reading_end, _ = os.pipe()
        ctypes.PyDLL(None).read(reading_end, bytes(1), 1)  # Functions of PyDLL, unlike CDLL's, keep the interpreter.
    elif deed == "disagree":
        here.wait(whereabouts.OPERATIONS.index("allgather"))
        time.sleep(3600)
