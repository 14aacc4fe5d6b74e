"""Each job has a run directory of its own where its user names none, and finds it again."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import curve, save_data, stopped_after
from helpers.mpirun import run_ranks

import dpnet
from dpnet.checkpoint import format as checkpoint
from dpnet.comm.local import LocalGroup
from dpnet.errors import CheckpointError, OutputError
from dpnet.output import lock
from dpnet.output.lock import Lock, owner
from dpnet.output.run_directory import RunDirectory

TINY = ["data.source=data.npz", "model.hidden_layers=[4]", "train.global_batch_size=10", "train.epochs=2"]
TINY += ["output.progress=none"]


@pytest.fixture(autouse=True)
def _in_a_folder_with_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_data(tmp_path / "data.npz", 40)


def run(*settings, resume="auto"):
    return dpnet.train(dpnet.load_job(None, [*TINY, *settings]), LocalGroup(), resume=resume)


def rate(value):
    return f"optimizer.learning_rate={value}"


def directories():
    return sorted(path.name for path in Path("runs").iterdir())


def lines(capsys):
    return capsys.readouterr().out.splitlines()


# --- sweeps ---


def test_a_sweep_trains_each_of_its_jobs_and_finds_each_again(capsys):
    first = [run(rate(value)) for value in (0.1, 0.01, 0.001)]
    assert len({summary["digest"] for summary in first}) == 3
    assert [summary["run_dir"] for summary in first] == ["runs/data", "runs/data-2", "runs/data-3"]
    assert [dpnet.load_job(f"{summary['run_dir']}/config.toml").optimizer.learning_rate for summary in first] == [
        0.1,
        0.01,
        0.001,
    ]
    capsys.readouterr()
    again = [run(rate(value)) for value in ("1e-3", "0.10", "0.01")]
    assert again == [first[2], first[0], first[1]]
    assert [line.split(",")[0] for line in lines(capsys) if "complete already" in line] == [
        f"runs/{name} is complete already" for name in ("data-3", "data", "data-2")
    ]
    assert directories() == ["data", "data-2", "data-3"]


def test_a_sweep_gives_what_each_job_gives_alone():
    swept = [run(rate(value)) for value in (0.1, 0.01)]
    alone = [run(rate(value), f"output.dir=alone-{value}") for value in (0.1, 0.01)]
    assert [one["digest"] for one in swept] == [one["digest"] for one in alone]


def test_another_directory_is_told_in_the_first_line_with_the_reasons(capsys):
    run()
    assert lines(capsys)[0].startswith("dpnet ")
    run(rate(0.5), "train.seed=3")
    assert lines(capsys)[:3] == [
        "run directory runs/data-2, as runs/data holds another job:",
        "  train.seed is 3, in the run it is 0",
        "  optimizer.learning_rate is 0.5, in the run it is 0.001",
    ]
    run(rate(0.5), "train.seed=3")
    assert lines(capsys)[0] == "run directory runs/data-2, which holds this job"


def test_what_is_told_to_differ_differs(capsys):
    run()
    run("train.global_batch_size=20")
    run("train.global_batch_size=40", "train.epochs=1")
    batch, epochs = "  train.global_batch_size is {}, in the run it is 10", "  train.epochs is 1, in the run it is 2"
    told = [line for line in lines(capsys) if line.startswith("  ")]
    assert told == [batch.format(20), batch.format(40), epochs]


def test_only_the_first_of_many_reasons_are_told(capsys):
    run()
    many = ["train.seed=3", "model.activation=tanh", "data.scale=none", "model.dtype=float64"]
    run(rate(0.5), *many, "optimizer.weight_decay=0.5", "optimizer.eps=1e-3", "train.epochs=1")
    told = lines(capsys)
    start = told.index("run directory runs/data-2, as runs/data holds another job:")
    assert all(" is " in line and line.startswith("  ") for line in told[start + 1 : start + 7])
    assert told[start + 7] == "  and 2 more"


# --- lengths ---


def kept(name):
    return {path: path.read_bytes() for path in Path("runs", name).rglob("[!.]*") if path.is_file()}


def test_what_may_change_bits_from_here_on_is_told_only_where_steps_are_left(capsys):
    run("train.epochs=1", "train.threads=1")
    capsys.readouterr()
    run("train.epochs=1", "train.threads=2")
    out = capsys.readouterr().out
    assert "is complete already" in out
    assert "note: " not in out
    run("train.epochs=2", "train.threads=2", "output.dir=runs/data")
    assert "note: train.threads is 2, in the run it is 1" in capsys.readouterr().out


def test_a_sweep_over_lengths_keeps_the_run_of_each_and_finds_each_again(capsys):
    alone = {epochs: run(f"train.epochs={epochs}", f"output.dir=alone-{epochs}")["digest"] for epochs in (1, 3, 2)}
    first = {n: run(f"train.epochs={n}") for n in (1, 3, 2)}
    assert {n: summary["digest"] for n, summary in first.items()} == alone
    assert {n: summary["run_dir"] for n, summary in first.items()} == {
        1: "runs/data",
        3: "runs/data-2",
        2: "runs/data-3",
    }
    before = [kept(name) for name in directories()]
    capsys.readouterr()
    assert {n: run(f"train.epochs={n}") for n in (3, 1, 2)} == first
    assert [kept(name) for name in directories()] == before
    assert capsys.readouterr().out.count("is complete already") == 3


def test_a_longer_job_is_told_how_to_go_on_from_the_end_of_a_shorter_one(capsys):
    run("train.seed=1")
    run(), run("train.epochs=3")
    capsys.readouterr()
    run("train.epochs=4")
    assert lines(capsys)[:4] == [
        "run directory runs/data-4, as runs/data holds another job:",
        "  train.seed is 0, in the run it is 1",
        "  train.epochs is 4, in the run it is 2",
        "runs/data-3 holds a shorter training of this job; to go on from its end, step 12: --resume runs/data-3",
    ]
    run("train.epochs=1")
    assert "--resume" not in capsys.readouterr().out.split("dpnet ")[0]


def test_asked_to_resume_a_finished_run_a_longer_job_goes_on_in_its_directory(capsys):
    digest = run("train.epochs=4", "output.dir=alone")["digest"]
    run(), run("train.epochs=3")
    shorter = kept("data")
    capsys.readouterr()
    summary = run("train.epochs=4", resume="runs/data-2")
    assert (summary["run_dir"], summary["digest"]) == ("runs/data-2", digest)
    assert lines(capsys)[0] == "run directory runs/data-2, whose run has another length"
    scores = [row for row in curve(Path("alone")) if "eval_loss" in row]
    assert [row for row in curve(Path("runs/data-2")) if "eval_loss" in row] == scores
    assert kept("data") == shorter
    assert directories() == ["data", "data-2"]


def test_a_longer_job_goes_on_with_a_run_that_was_cut_off():
    cut_off("checkpoint.every_steps=1")
    summary = run("train.epochs=3")
    assert summary["run_dir"] == "runs/data"
    assert summary["digest"] == run("train.epochs=3", "output.dir=alone")["digest"]


def test_more_patience_leaves_a_run_that_stopped_early_as_it_is(capsys):
    still = ["evaluate.min_delta=100", "train.epochs=6", "data.validation=0.2"]
    first = run(*still, "evaluate.patience=1")
    assert first["status"] == "stopped_early"
    second = run(*still, "evaluate.patience=2")
    assert second["run_dir"] == "runs/data-2"
    assert "  evaluate.patience is 2, in the run it is 1" in lines(capsys)
    assert run(*still, "evaluate.patience=1") == first


def test_a_longer_cosine_is_another_job(capsys):
    cosine = "schedule.name=cosine"
    expected = run(cosine, "train.epochs=3", "output.dir=alone")["digest"]
    run(cosine)
    capsys.readouterr()
    assert run(cosine, "train.epochs=3")["digest"] == expected
    assert "the learning rate would jump from" in lines(capsys)[1]
    assert directories() == ["data", "data-2"]


def test_data_of_the_same_name_are_other_data(tmp_path, capsys):
    (tmp_path / "other").mkdir()
    save_data(tmp_path / "other/data.npz", 41)
    first, second = run(), run("data.source=other/data.npz")
    assert (first["run_dir"], second["run_dir"]) == ("runs/data", "runs/data-2")
    assert "the training features are float32 [41, 3]; in the run they were float32 [40, 3]" in capsys.readouterr().out
    assert run("data.source=other/data.npz") == second
    assert run() == first


def test_data_that_changed_make_another_run(tmp_path):
    first = run()
    arrays = {**np.load("data.npz")}
    np.savez("data.npz", **{**arrays, "y_test": 1 - arrays["y_test"]})
    second = run()
    assert (first["run_dir"], second["run_dir"]) == ("runs/data", "runs/data-2")
    assert first["digest"] == second["digest"]
    assert first["eval_loss"] != second["eval_loss"]


def test_a_job_that_was_cut_off_goes_on_in_its_own_directory(monkeypatch):
    run()
    cut_off("checkpoint.every_steps=1", rate(0.5))
    assert directories() == ["data", "data-2"]
    summary = run("checkpoint.every_steps=1", rate(0.5))
    assert summary["run_dir"] == "runs/data-2"
    assert summary["digest"] == run(rate(0.5), "output.dir=alone")["digest"]


def cut_off(*settings, step=5):
    with stopped_after(step):
        run(*settings)


def test_a_start_that_got_nowhere_leaves_its_directory_to_the_next_job():
    cut_off(rate(0.5), step=1)
    assert run()["run_dir"] == "runs/data"


def test_a_start_that_got_nowhere_comes_back_to_its_directory():
    other = RunDirectory(Path("runs/data"), keep_last=1, job="another")
    other.lock(wait_s=0)
    cut_off(rate(0.5), step=1)
    other.unlock()
    assert run(rate(0.5))["run_dir"] == "runs/data-2"


def test_what_a_user_keeps_in_a_numbered_folder_stays(tmp_path):
    run()
    (tmp_path / "runs/data-2").mkdir()
    (tmp_path / "runs/data-2/notes.txt").write_text("mine")
    run(rate(0.5))
    assert (tmp_path / "runs/data-2/notes.txt").read_text() == "mine"


def test_a_named_directory_is_never_left_for_another():
    run("output.dir=runs/data")
    with pytest.raises(CheckpointError, match=r"optimizer\.learning_rate is 0\.5, in the run it is 0\.001"):
        run("output.dir=runs/data", rate(0.5))
    assert directories() == ["data"]


def test_a_moved_directory_still_belongs_to_its_job():
    expected = run()
    os.rename("runs/data", "runs/data-7")
    assert run() == {**expected, "run_dir": "runs/data-7"}


def test_a_run_that_cannot_be_read_is_left_alone(capsys):
    run()
    Path("runs/data/config.toml").write_text("[train]\nnovelty = 3\n")
    for manifest in Path("runs/data/checkpoints").glob("step-*/manifest.json"):
        manifest.write_text("{}")
    capsys.readouterr()
    assert run()["run_dir"] == "runs/data-2"
    assert lines(capsys)[1] == "  its config.toml cannot be read"


def test_damaged_checkpoints_of_this_job_are_not_passed_over_in_silence():
    run()
    for tensors in Path("runs/data/checkpoints").glob("step-*/model.safetensors"):
        tensors.write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of the 2 checkpoints in runs/data/checkpoints is whole"):
        run()


# --- anew, and from a checkpoint ---


def test_anew_sets_aside_the_run_of_this_job_and_no_other():
    first, second = run(), run(rate(0.5))
    again = run(rate(0.5), resume="never")
    assert again["run_dir"] == second["run_dir"] == "runs/data-2"
    assert Path("runs/data-2/previous-1/summary.json").exists()
    before = kept("data")
    assert run("train.epochs=1", resume="never")["run_dir"] == "runs/data-3"
    assert run(rate(0.25), resume="never")["run_dir"] == "runs/data-4"
    assert kept("data") == before
    assert run() == first


def test_a_checkpoint_taken_on_with_another_job_needs_a_name():
    run()
    with pytest.raises(CheckpointError, match=r"(?s)optimizer\.learning_rate is 0\.5.*--resume runs/data --output DIR"):
        run(rate(0.5), resume="runs/data")
    assert directories() == ["data"]
    on = run(rate(0.5), "train.epochs=4", "output.dir=runs/data-2", resume="runs/data")
    assert checkpoint.read(Path("runs/data-2/checkpoints/latest")).manifest["changes"]
    # What began with another learning rate is not what this job gives.
    fresh = run(rate(0.5), "train.epochs=4")
    assert fresh["run_dir"] == "runs/data-3"
    assert fresh["digest"] != on["digest"]


def test_a_checkpoint_from_elsewhere_is_taken_on_in_the_directory_of_the_job():
    run("output.dir=elsewhere")
    summary = run("train.epochs=3", resume="elsewhere")
    assert summary["run_dir"] == "runs/data"
    assert summary["digest"] == run("train.epochs=3", "output.dir=alone")["digest"]


# --- several at once ---

START = """
import sys
import dpnet
from dpnet.comm.local import LocalGroup
from dpnet.training.directory import Directory
take = Directory.take

def taking(self, *arguments, **named):
    print("ready", flush=True)
    sys.stdin.readline()
    return take(self, *arguments, **named)

Directory.take = taking
print(dpnet.train(dpnet.load_job(None, sys.argv[1:]), LocalGroup())["run_dir"])
"""


def start_at_once(jobs, code=START):
    """Start trainings that choose their directories at the same moment; returns exit code and output of each."""
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen([sys.executable, "-c", code, *TINY, *job], **how) for job in jobs]
    try:
        for process in started:
            while process.stdout.readline() not in ("ready\n", ""):
                pass
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=480)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, text) for process, text in zip(started, outputs, strict=True)]


NO_LOCKS = """
import errno, fcntl
def flock(descriptor, how):
    raise OSError(errno.ENOSYS, "Function not implemented")
fcntl.flock = flock
"""


@pytest.mark.parametrize(
    "code", [START, pytest.param(NO_LOCKS + START, marks=pytest.mark.slow)], ids=["locks", "no locks"]
)
def test_jobs_that_start_at_once_get_directories_of_their_own(code):
    values = (0.1, 0.2, 0.3)
    ended = start_at_once([[rate(value)] for value in values], code)
    assert [status for status, _ in ended] == [0] * 3, ended
    chosen = [text.splitlines()[-1] for _, text in ended]
    assert len(set(chosen)) == 3, chosen
    for value, path in zip(values, chosen, strict=True):
        assert dpnet.load_job(f"{path}/config.toml").optimizer.learning_rate == value
        assert run(rate(value))["run_dir"] == path


def test_the_same_job_twice_at_once_is_refused(tmp_path, monkeypatch):
    run()
    monkeypatch.setattr("dpnet.training.directory.ENDING_S", 0.2)
    cut_off(rate(0.5), step=1)
    other = Lock(Path("runs/data-2"))
    assert other.take(wait_s=0)
    with pytest.raises(OutputError, match=r"another training is at work in runs/data-2 \(process \d+ on "):
        run(rate(0.5))
    assert run(rate(0.6))["run_dir"] == "runs/data-3"
    other.release()
    assert run(rate(0.5))["run_dir"] == "runs/data-2"


def test_a_directory_without_a_run_in_which_another_training_is_at_work_is_left_alone(capsys):
    other = RunDirectory(Path("runs/data"), keep_last=1, job="another")
    other.lock(wait_s=0)
    assert run()["run_dir"] == "runs/data-2"
    assert lines(capsys)[0] == "run directory runs/data-2: another training is at work in runs/data"
    other.unlock()
    assert run()["run_dir"] == "runs/data-2"


# --- the lock ---


def test_the_lock_says_who_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DPNET_ATTEMPT", "abc-1")
    held = RunDirectory(tmp_path / "run", keep_last=1, job="fingerprint")
    held.lock(wait_s=0)
    assert owner(tmp_path / "run")[1:] == ("fingerprint", "abc-1")
    assert owner(tmp_path / "run").process.startswith(f"{os.getpid()} on ")
    assert owner(tmp_path / "nowhere") == ("", "", "")


def test_without_locks_only_who_makes_the_file_is_sure(tmp_path, monkeypatch):
    def missing(descriptor, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    first, second = Lock(tmp_path / "run"), Lock(tmp_path / "run")
    assert (first.take(wait_s=0), first.is_sure) == (True, True)
    assert (second.take(wait_s=0), second.is_sure) == (True, False)


def test_what_is_no_lock_file_names_nobody(tmp_path):
    (tmp_path / lock.LOCK).write_bytes(b"\xff\nprocess\njob  x y\n\n")
    assert owner(tmp_path) == ("", " x y", "")


# --- ranks ---

ON_RANKS = """
import sys
import dpnet
for value in (0.1, 0.01):
    job = dpnet.load_job(None, [*sys.argv[1:], f"optimizer.learning_rate={value}"])
    print(value, dpnet.train(job)["run_dir"], flush=True)
"""


@pytest.mark.ranks
@pytest.mark.slow
def test_a_loop_in_python_under_mpirun_has_the_same_directories_on_all_ranks(tmp_path):
    (tmp_path / "loop.py").write_text(ON_RANKS)
    result = run_ranks(2, [str(tmp_path / "loop.py"), *TINY], timeout_s=90)
    assert result.code == 0, str(result)
    for rank in result.ranks:
        assert [line for line in rank.splitlines() if line.startswith("0.")] == ["0.1 runs/data", "0.01 runs/data-2"]
    again = run_ranks(2, [str(tmp_path / "loop.py"), *TINY], timeout_s=90)
    assert again.ranks[0].count("is complete already") == 2, str(again)
