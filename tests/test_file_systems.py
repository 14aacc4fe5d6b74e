"""File systems without links or syncs, slow ones, and names that are too long: a training works, or says why not."""

import errno
import json
import os
import sys

import pytest
from helpers.filesystems import faked
from helpers.jobs import metrics
from helpers.mpirun import run_command

from dpnet.checkpoint.folder import CheckpointFolder, pointed, resolve

SIZES = {
    "written by a thread": "[16]",
    "written by the writer process": pytest.param("[600, 600]", marks=pytest.mark.slow),
}


def settings(*texts):
    return [word for text in texts for word in ("--set", text)]


def run(arguments, env, *, code=0, timeout_s=120, program=("-m", "dpnet")):
    found, text = run_command([sys.executable, *program, *map(str, arguments)], timeout_s=timeout_s, env=env)
    assert found == code, text
    return text


@pytest.mark.parametrize("hidden", SIZES.values(), ids=SIZES)
def test_without_links_and_syncs_of_directories_a_training_works_and_resumes(tmp_path, hidden):
    env, output = faked(tmp_path, "links", "directory-fsync"), tmp_path / "run"
    short = settings(f"model.hidden_layers={hidden}", "checkpoint.every_steps=5", "checkpoint.keep_last=1")
    short += settings("data.validation=0.1")
    run(["train", "--output", output, *short, *settings("train.steps=7")], env)
    run(["train", "--output", output, *short, *settings("train.steps=12")], env)
    folder = output / "checkpoints"
    assert not (folder / "latest").is_symlink()
    assert (folder / "latest").read_text() == "step-00000012\n"
    assert resolve(folder / "latest") == folder / "step-00000012"
    digests = {run(["digest", path], env) for path in (output, folder / "latest", folder / "step-00000012")}
    assert len(digests) == 1
    run(["evaluate", folder / "latest", "--data", "digits"], env)
    assert str(resolve(folder / "best")) in run(["inspect", folder / "best"], env)
    assert resolve(folder / "best") == folder / (folder / "best").read_text().strip()


def test_without_any_sync_a_training_works(tmp_path):
    run(["train", "--output", tmp_path / "run", *settings("train.steps=7")], faked(tmp_path, "fsync"))


def test_a_small_file_that_points_nowhere_is_mended(tmp_path):
    for step in (3, 5):
        (tmp_path / f"step-{step:08d}").mkdir()
    (tmp_path / "latest").write_text("step-00000009\n")
    (tmp_path / "best").write_text("step-00000009\n")
    CheckpointFolder(tmp_path, keep_last=2).mend_links()
    assert pointed(tmp_path / "latest").name in ("latest", "step-00000005")
    assert os.path.realpath(tmp_path / "latest").endswith("step-00000005")
    assert not (tmp_path / "best").exists()


TOLD = """
from dpnet.checkpoint import waiting
waiting.FIRST_S = {first_s}
from dpnet.__main__ import main
main()
"""


@pytest.mark.slow
def test_a_training_does_not_wait_for_a_slow_disk_and_its_end_says_what_it_waits_for(tmp_path):
    env, output = faked(tmp_path, fsync_s=0.1), tmp_path / "run"
    arguments = settings("model.hidden_layers=[600, 600]", "train.steps=60", "checkpoint.every_steps=3")
    arguments += settings("data.validation=0.1")
    soon = TOLD.format(first_s=0.5)  # Nine syncs take longer.
    text = run(["train", "--output", output, *arguments], env, timeout_s=180, program=("-c", soon))
    assert "note: waiting for the disk, " in text, text
    assert "s now: the checkpoint of step" in text, text
    (spent,) = [row for row in metrics(output) if row.get("event") == "time_spent"]
    # Twenty checkpoints with nine syncs each would take 18 seconds. Only the last one waits, for a best one before it.
    assert spent["checkpoint"][0] < 6, spent
    assert json.loads((output / "summary.json").read_text())["steps"] == 60
    assert resolve(output / "checkpoints" / "latest").name == "step-00000060"


@pytest.mark.slow
def test_a_finished_training_that_waits_for_its_disk_is_no_hang(tmp_path):
    env, output = faked(tmp_path, fsync_s=0.5) | {"OMP_NUM_THREADS": "1"}, tmp_path / "run"
    arguments = settings("model.hidden_layers=[600, 600]", "train.steps=3", "resilience.timeout_s=2")
    arguments += settings("resilience.on_hang=end")
    late = TOLD.format(first_s=3.0)  # Longer than a rank may go without a heartbeat.
    text = run(["train", "--output", output, *arguments], env, program=("-c", late))
    assert "note: waiting for the disk, 3 s now: the checkpoint of step 3" in text, text
    assert "finished after 3 steps" in text


def test_a_name_that_is_too_long_is_told_in_one_line(tmp_path):
    for output in (tmp_path / ("n" * 300), tmp_path / ("n" * 300) / "deeper"):
        text = run(["train", "--output", output, *settings("train.steps=2")], {}, code=1)
        lines = [line for line in text.splitlines() if "Error" in line]
        assert len(lines) == 1, text
        assert lines[0].startswith("OutputError: "), text
        assert os.strerror(errno.ENAMETOOLONG) in lines[0]
        assert "Traceback" not in text
