"""Outputs that are full, closed or forbidden, and memory that is short: one sentence, and nothing is lost silently."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.mpirun import mpirun, run_command

from dpnet.cli import main as cli

TRAIN = ["train", "--set", "train.steps=3", "--set", "model.hidden_layers=[8]", "--output", "run"]


def shell(folder: Path, arguments: list[str], redirection: str) -> tuple[int, str]:
    """Run dpnet in a shell with a redirection; returns the exit code and what it printed on stderr."""
    line = f"exec {shlex.join([sys.executable, '-m', 'dpnet', *arguments])} {redirection}"
    done = subprocess.run(["sh", "-c", line], cwd=folder, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run, whose training could not write to its standard output, and what it said of that."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, shell(folder, TRAIN, ">/dev/full")


def test_a_training_goes_on_without_a_standard_output_whose_disk_is_full(trained):
    folder, (code, text) = trained
    assert code == 0, text
    assert text == ("note: cannot write to standard output: No space left on device; the training goes on\n")
    assert (folder / "run/summary.json").exists()


@pytest.mark.parametrize("errors", ["", "2>&1"])
def test_a_training_goes_on_when_head_or_tee_has_gone(tmp_path, errors):
    line = f"{shlex.join([sys.executable, '-m', 'dpnet', *TRAIN])} {errors} | true; echo ${{PIPESTATUS[0]}} >&2"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=120, check=True
    )
    note = "" if errors else "note: cannot write to standard output: Broken pipe; the training goes on\n"
    assert done.stderr == f"{note}0\n"
    assert (tmp_path / "run/summary.json").exists()


def test_ctrl_c_that_ends_tee_as_well_leaves_a_checkpoint_and_130(tmp_path):
    long = ["--set", "train.steps=10000000", "--set", "checkpoint.every_epochs=0"]
    command = [sys.executable, "-m", "dpnet", *TRAIN, *long]
    job = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        next(line for line in job.stdout if "training loss" in line)
        job.stdout.close()
        job.send_signal(signal.SIGINT)
        assert job.wait(120) == 130
    finally:
        job.kill()
        job.wait()
    assert list((tmp_path / "run/checkpoints").glob("step-*"))


@pytest.mark.parametrize("arguments", [["digest", "run"], ["inspect", "run/checkpoints/latest"], ["--version"]])
def test_an_answer_that_cannot_be_written_is_an_error(trained, arguments):
    code, text = shell(trained[0], arguments, ">/dev/full")
    assert (code, text) == (1, "OutputError: cannot write to standard output: No space left on device\n")


def test_what_the_shell_has_closed_is_not_taken_by_another_file(trained):
    opened = "f = open('told', 'w'); f.write(str(f.fileno()))"
    program = "from dpnet.__main__ import _open_standard_streams as o; o(); " + opened
    line = f"exec {shlex.join([sys.executable, '-c', program])} >&- 2>&- <&-"
    subprocess.run(["sh", "-c", line], cwd=trained[0], check=True, timeout=60)
    assert int((trained[0] / "told").read_text()) > 2


@pytest.mark.ranks
@pytest.mark.slow
def test_ranks_train_where_the_shell_has_closed_the_standard_output(tmp_path):
    mpirun(1)
    code, text = shell(tmp_path, ["launch", "-n", "2", "--", *TRAIN], ">&-")
    assert code == 0, text
    assert (tmp_path / "run/summary.json").exists()


def test_a_dangling_link_as_output_is_told_as_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to("gone/run")
    assert cli.run(TRAIN) == 1
    assert capsys.readouterr().err == (
        "OutputError: the run directory run is a link to gone/run, which does not exist; "
        "choose another with --output DIR\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_is_told_in_a_sentence_where_it_may_not_write():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # Not tmp_path: the folders above it are closed to others.
    try:
        folder.chmod(0o755)
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        # This Python may lie in a folder that is closed to other users: it may read, but not write.
        user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "env", "-C", str(folder)]
        asked = [*user, sys.executable, "-c", "import dpnet"]
        if shutil.which("setpriv") is None or subprocess.run(asked, capture_output=True, check=False).returncode:
            pytest.skip("there is no setpriv, or another user cannot read this Python")
        code, text = run_command([*user, sys.executable, "-m", "dpnet", *TRAIN], timeout_s=60)
        assert code == 1
        expected = (
            "OutputError: cannot write the run directory run: Permission denied; choose another with --output DIR"
        )
        assert text.splitlines()[-1] == expected
        assert "Traceback" not in text
    finally:
        shutil.rmtree(folder)


def test_a_low_limit_of_memory_is_told_before_a_library_fails_for_it(tmp_path):
    line = f"ulimit -v 1000000 && exec {shlex.join([sys.executable, '-m', 'dpnet', 'init'])}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("note: ulimit -v allows this process 0.95 GiB of memory; libraries may need more")


def test_memory_that_ran_out_is_an_error_in_a_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def fail(*arguments, **named):
        raise MemoryError("Unable to allocate 13.4 GiB")

    monkeypatch.setattr("dpnet.cli.commands.train.train", fail)
    assert cli.run(TRAIN) == 1
    told = "DpnetError: memory ran out (Unable to allocate 13.4 GiB); take a smaller network or batch"
    assert capsys.readouterr().err.startswith(told)
