"""Asynchronous checkpoints are whole and hold the state that was copied, whichever process is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.night import times

from dpnet.checkpoint import background, waiting
from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.background import Saver
from dpnet.checkpoint.folder import CheckpointFolder, steps_in
from dpnet.checkpoint.format import Checkpoint
from dpnet.errors import OutputError
from dpnet.files import UNFINISHED
from dpnet.output.run_directory import RunDirectory

SIZE = 300  # 300 x 300 float32 are 360 kB.


def content(step, *, size=SIZE, value=None):
    generator = np.random.default_rng(step)
    weight = generator.standard_normal((size, size)) if value is None else np.full((size, size), value)
    manifest = {
        "step": step,
        "epoch": 0,
        "samples_of_epoch": 0,
        "sizes": [size, size],
        "config": {},
        "data": {"samples": 1},
        "progress": {},
        "world_size": 1,
        "numerics": {"numpy": "2"},
        "dpnet": "0",
    }
    model = {"0.weight": weight.astype(np.float32).T, "0.bias": np.arange(size, dtype=np.float32)}
    optimizer = {f"{name}.{slot}": array for name, array in model.items() for slot in ("exp_avg", "exp_avg_sq")}
    return Checkpoint(model, optimizer, {"factor": np.ones(3), "offset": np.zeros(3)}, manifest)


def writer_of(made):
    return made._process._process


def until(look):
    while not look():
        time.sleep(0.005)


def settle(made):
    """Wait until the disk has everything."""
    until(made.settled)


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(background, "PAUSE_S", 0.05)
    monkeypatch.setattr(background, "PAUSE_FACTOR", 2)
    told = []
    made = Saver(CheckpointFolder(tmp_path / "checkpoints", keep_last=9), max_failed=3, tell=told.append)
    made.told = told
    made.folder = tmp_path / "checkpoints"
    yield made
    made.close()


def files(directory: Path):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_files_are_those_that_are_written_without_it(made, tmp_path):
    made.save(content(3), best_step=None)
    settle(made)
    assert writer_of(made) is not None
    arrays = {
        name: {key: np.ascontiguousarray(array) for key, array in getattr(content(3), name).items()}
        for name in checkpoint.FILES
    }
    directly = checkpoint.write(tmp_path / "directly", Checkpoint(**arrays, manifest=content(3).manifest))
    assert files(made.folder / "step-00000003") == files(directly)


def test_the_state_may_change_as_soon_as_it_was_copied(made):
    state = content(3)
    before = state.model["0.weight"].copy()
    made.save(state, best_step=None)
    state.model["0.weight"][:] = np.nan
    settle(made)
    assert checkpoint.read(made.folder / "step-00000003").model["0.weight"].tobytes() == before.tobytes()


def test_a_small_state_and_the_only_one_need_no_process(made):
    made.save(content(1, size=4), best_step=None)
    made.save(content(2), best_step=None, last=True)
    settle(made)
    assert writer_of(made) is None
    assert steps_in(made.folder) == [1, 2]


def test_a_newer_one_replaces_one_that_waits_and_only_a_better_one_the_best(made):
    made.save(content(1), best_step=None)
    settle(made)
    os.kill(writer_of(made).pid, signal.SIGSTOP)
    made.save(content(2), best_step=None)
    made.save(content(3), best_step=None)
    made.save(content(4), best_step=4)
    assert made.save(content(5), best_step=5)
    for last in (False, True):
        assert not made.save(content(6), best_step=5, last=last)  # There is no room for it.
    os.kill(writer_of(made).pid, signal.SIGCONT)
    until(lambda: made.save(content(6), best_step=5, last=True))
    settle(made)
    assert steps_in(made.folder) == [1, 2, 5, 6]
    for step in (1, 2, 5, 6):
        found = checkpoint.read(made.folder / checkpoint.step_name(step))
        assert found.step == step
        assert found.model["0.weight"].tobytes() == content(step).model["0.weight"].tobytes()
    assert os.readlink(made.folder / "best") == "step-00000005"


def test_a_write_that_fails_is_told_and_tried_again(made):
    made.folder.write_text("in the way")
    made.save(content(3), best_step=None)
    while not made.told:
        made.poll()
    made.folder.unlink()
    settle(made)
    assert steps_in(made.folder) == [3]
    assert made.told[0].startswith(f"note: cannot write checkpoint {made.folder}")
    assert "trying again in 0 s (1 of 3)" in made.told[0]
    assert not made.poll()


def test_failures_before_one_that_was_written_are_not_in_a_row_with_those_after_it(made):
    for step in (1, 2):
        made.folder.write_text("in the way")
        made.save(content(step), best_step=None)
        while len(made.told) < 2 * step and not made.poll():
            pass
        made.folder.unlink()
        settle(made)
        assert checkpoint.read(made.folder / checkpoint.step_name(step)).step == step
        made.folder.rename(made.folder.with_name(f"until {step}"))
    assert [text[-8:] for text in made.told] == ["(1 of 3)", "(2 of 3)"] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_that_ends_a_training_does_not_end_the_writer(made, number):
    made.save(content(1), best_step=None)
    settle(made)
    process = writer_of(made)
    process.send_signal(number)
    made.save(content(2), best_step=None)
    settle(made)
    assert steps_in(made.folder) == [1, 2]
    assert (made.told, writer_of(made)) == ([], process)


@pytest.mark.parametrize("last", [False, True])
def test_too_many_failures_in_a_row_are_an_error(made, last):
    made.folder.write_text("in the way")
    made.save(content(3), best_step=None, last=last)
    with pytest.raises(OutputError, match="3 checkpoints in a row could not be written: cannot write"):
        settle(made)
    assert made.poll()
    assert len(made.told) == 2


def test_a_failed_write_waits_longer_each_time_over_minutes_but_not_while_a_scheduler_waits(made, monkeypatch):
    now = [1000.0]
    monkeypatch.undo()
    monkeypatch.setattr(background.time, "monotonic", lambda: now[0])
    made.folder.write_text("in the way")
    made.save(content(3, size=4), best_step=None)
    assert not made.poll()
    for pause_s in (14.0, 0.9):
        now[0] += pause_s
        assert not made.settled()
        assert len(made.told) == 1
    now[0] += 0.2
    while len(made.told) < 2:
        assert not made.settled()
    assert [text.partition("; ")[2] for text in made.told] == [
        "trying again in 15 s (1 of 3)",
        "trying again in 120 s (2 of 3)",
    ]
    made.folder.unlink()
    assert not made.settled(in_a_hurry=True)
    now[0] += 5.1
    while not made.settled(in_a_hurry=True):
        pass
    assert steps_in(made.folder) == [3]


def test_a_newer_one_takes_the_place_of_one_that_failed(made):
    made.folder.write_text("in the way")
    made.save(content(3), best_step=None)
    while not made.told:
        made.poll()
    made.save(content(4), best_step=None)
    made.folder.unlink()
    settle(made)
    assert steps_in(made.folder) == [4]


def test_a_slow_disk_is_told_and_does_not_hold_up_the_training(made, monkeypatch):
    go_on, fsync = threading.Event(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: go_on.wait() and fsync(handle))
    monkeypatch.setattr(background, "QUICK_S", 0.2)
    monkeypatch.setattr(waiting, "FIRST_S", 0.2)
    for step in (1, 2, 3, 4):
        began_s = time.monotonic()
        made.save(content(step, size=4), best_step=None)
    assert time.monotonic() - began_s < 0.2  # Only the first had to wait.
    while len(made.told) < 2:
        assert not made.settled()
    assert all(text.startswith("note: waiting for the disk, ") for text in made.told)
    assert made.told[0].endswith(" s now: the checkpoint of step 1")
    go_on.set()
    settle(made)
    assert steps_in(made.folder) == [1, 4]


@pytest.mark.parametrize("waits", ["at the end", "for room beside the best one"])
def test_a_disk_that_never_answers_ends_the_wait(made, monkeypatch, waits):
    made.save(content(1), best_step=None)
    settle(made)
    monkeypatch.setattr(waiting, "SILENT_S", 0.1)
    os.kill(writer_of(made).pid, signal.SIGSTOP)
    made.save(content(2), best_step=None)
    made.save(content(3), best_step=3)
    with pytest.raises(OutputError, match=r"checkpoints has not answered for 0 s: the checkpoint of step 2 is not on"):
        until(lambda: made.settled() if waits == "at the end" else made.save(content(4), best_step=3, last=True))
    made.close()
    os.kill(writer_of(made).pid, signal.SIGCONT)
    monkeypatch.undo()


def test_the_writer_may_use_the_cores_of_all_ranks(tmp_path):
    made = Saver(
        CheckpointFolder(tmp_path, keep_last=1), max_failed=1, tell=print, cores=sorted(os.sched_getaffinity(0))
    )
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # As a launcher binds rank 0.
    try:
        made.save(content(1), best_step=None)
        settle(made)
        assert os.sched_getaffinity(writer_of(made).pid) == cores
    finally:
        os.sched_setaffinity(0, cores)
        made.close()


def test_a_writer_that_is_killed_is_replaced(made):
    made.save(content(1), best_step=None)
    settle(made)
    process = writer_of(made)
    os.kill(process.pid, signal.SIGSTOP)
    made.save(content(2), best_step=None)
    process.kill()
    settle(made)
    assert steps_in(made.folder) == [1, 2]
    assert made.told == ["note: the process that writes checkpoints has ended; trying again in 0 s (1 of 3)"]


def test_a_writer_that_was_killed_while_it_had_nothing_to_do_is_replaced(made):
    made.save(content(1), best_step=None)
    settle(made)
    writer_of(made).kill()
    os.waitid(os.P_PID, writer_of(made).pid, os.WEXITED | os.WNOWAIT)
    made.save(content(2), best_step=None)
    settle(made)
    assert steps_in(made.folder) == [1, 2]
    assert made.told == []


def test_no_process_stays(made):
    made.save(content(1), best_step=None)
    settle(made)
    process = writer_of(made)
    made.close()
    assert process.returncode == 0
    made.close()


OWNER = """
import sys, time
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from checkpoint.test_background import content
from dpnet.checkpoint.background import Saver
from dpnet.output.run_directory import RunDirectory
run = RunDirectory(Path(sys.argv[2]), keep_last=2)
run.lock(wait_s=0)
saver = Saver(run.checkpoints, max_failed=3, tell=print, kept_open=run.lock_descriptor)
for step in range(1, 10_000):
    saver.save(content(step, value=step), best_step=None)
    print(step, flush=True)
    time.sleep(0.01)
"""


@pytest.mark.parametrize("seed", range(times("DPNET_TEST_WRITES", day=3, night=100)))
def test_whoever_is_killed_leaves_whole_checkpoints_and_the_lock_lasts_as_long_as_the_writer(tmp_path, seed):
    chance = np.random.default_rng(seed)
    command = [sys.executable, "-c", OWNER, str(Path(__file__).parents[1]), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as owner:
        assert owner.stdout.readline(), owner.stderr.read().decode()
        while not steps_in(tmp_path / "checkpoints"):
            time.sleep(0.01)
        time.sleep(chance.random() * 0.1)
        successor = saver_run(tmp_path)
        with pytest.raises(OutputError, match=rf"another training is at work in .* \(process {owner.pid} on "):
            successor.lock(wait_s=0)
        owner.kill()
    successor.lock(wait_s=20)  # Until the owner's writer has ended.
    assert not list((tmp_path / "checkpoints").glob(UNFINISHED + "*"))
    steps = steps_in(tmp_path / "checkpoints")
    assert steps
    for step in steps:
        found = checkpoint.read(tmp_path / "checkpoints" / checkpoint.step_name(step))
        assert (found.model["0.weight"] == step).all()
    successor.unlock()


def saver_run(path):
    return RunDirectory(path, keep_last=2)


def test_a_lock_that_was_given_back_can_be_had(tmp_path):
    first, second = saver_run(tmp_path), saver_run(tmp_path)
    first.lock(wait_s=0)
    first.lock(wait_s=0)
    with pytest.raises(OutputError, match="choose another directory with --output DIR"):
        second.lock(wait_s=0.1)
    first.unlock()
    second.lock(wait_s=0)
    second.unlock()
