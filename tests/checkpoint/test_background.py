"""Asynchronous checkpoints are whole and hold the state that was copied, whichever process is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.night import times

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
    return made._writer._process


@pytest.fixture
def made(tmp_path):
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
    made.flush()
    assert made._writer is not None
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
    made.flush()
    assert checkpoint.read(made.folder / "step-00000003").model["0.weight"].tobytes() == before.tobytes()


def test_a_small_state_and_the_only_one_need_no_process(made):
    made.save(content(1, size=4), best_step=None)
    made.save(content(2), best_step=None, last=True)
    assert made._writer is None
    assert steps_in(made.folder) == [1, 2]


def test_a_newer_one_takes_the_place_of_one_that_waits_but_not_of_the_best(made):
    made.save(content(1), best_step=None)
    made.flush()
    os.kill(writer_of(made).pid, signal.SIGSTOP)
    made.save(content(2), best_step=None)
    made.save(content(3), best_step=None)
    made.save(content(4), best_step=4)
    os.kill(writer_of(made).pid, signal.SIGCONT)
    made.save(content(5), best_step=4)
    made.flush()
    assert steps_in(made.folder) == [1, 2, 4, 5]
    for step in (1, 2, 4, 5):
        found = checkpoint.read(made.folder / checkpoint.step_name(step))
        assert found.step == step
        assert found.model["0.weight"].tobytes() == content(step).model["0.weight"].tobytes()
    assert os.readlink(made.folder / "best") == "step-00000004"


def test_a_write_that_fails_is_told_and_tried_again(made):
    made.folder.write_text("in the way")
    made.save(content(3), best_step=None)
    while not made.told:
        made.poll()
    made.folder.unlink()
    made.flush()
    assert steps_in(made.folder) == [3]
    assert made.told[0].startswith(f"note: cannot write checkpoint {made.folder}")
    assert "trying again (1 of 3)" in made.told[0]
    assert not made.poll()


def test_failures_before_one_that_was_written_are_not_in_a_row_with_those_after_it(made):
    for step in (1, 2):
        made.folder.write_text("in the way")
        made.save(content(step), best_step=None)
        while len(made.told) < 2 * step and not made.poll():
            pass
        made.folder.unlink()
        made.flush()
        assert checkpoint.read(made.folder / checkpoint.step_name(step)).step == step
        made.folder.rename(made.folder.with_name(f"until {step}"))
    assert [text[-8:] for text in made.told] == ["(1 of 3)", "(2 of 3)"] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_that_ends_a_training_does_not_end_the_writer(made, number):
    made.save(content(1), best_step=None)
    made.flush()
    process = writer_of(made)
    process.send_signal(number)
    made.save(content(2), best_step=None)
    made.flush()
    assert steps_in(made.folder) == [1, 2]
    assert (made.told, writer_of(made)) == ([], process)


@pytest.mark.parametrize("last", [False, True])
def test_too_many_failures_in_a_row_are_an_error(made, last):
    made.folder.write_text("in the way")
    message = "3 checkpoints in a row could not be written: cannot write"
    if last:
        with pytest.raises(OutputError, match=message):
            made.save(content(3), best_step=None, last=True)
    else:
        made.save(content(3), best_step=None)
    with pytest.raises(OutputError, match=message):
        made.flush()
    assert made.poll()
    assert len(made.told) == 2


def test_a_writer_that_is_killed_is_replaced(made):
    made.save(content(1), best_step=None)
    made.flush()
    process = writer_of(made)
    os.kill(process.pid, signal.SIGSTOP)
    made.save(content(2), best_step=None)
    process.kill()
    made.flush()
    assert steps_in(made.folder) == [1, 2]
    assert made.told == ["note: the process that writes checkpoints has ended; trying again (1 of 3)"]


def test_no_process_stays(made):
    made.save(content(1), best_step=None)
    made.flush()
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
