"""Nothing of Open MPI stays on the host, whoever is killed; and what lives is left alone."""

import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers.faults import wait_for
from helpers.mpirun import mpirun, run_command, start
from helpers.vendor import vendor

from dpnet.launch.session import SEGMENT_AGE_S, VARIABLES, clear, clear_segments, session

LAUNCH = ["env", *(word for name in VARIABLES for word in ("-u", name)), sys.executable, "-m", "dpnet", "launch"]


@pytest.fixture
def above(monkeypatch):
    """A folder for temporary files, with a short path."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="dpnet-test-"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield folder
    shutil.rmtree(folder)


def test_open_mpi_is_told_of_the_folder_which_is_removed(above):
    with session():
        (folder,) = above.iterdir()
        assert [os.environ[name] for name in VARIABLES] == [str(folder)] * 2
    assert not [name for name in VARIABLES if name in os.environ]
    assert not list(above.iterdir())


def test_the_users_own_folder_wins(above, monkeypatch):
    monkeypatch.setenv(VARIABLES[0], "/mine")
    with session():
        assert os.environ[VARIABLES[0]] == "/mine"
    assert os.environ[VARIABLES[0]] == "/mine"


def test_a_long_path_is_not_used(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 60)
    monkeypatch.delenv(VARIABLES[0], raising=False)
    with session():
        assert len(os.environ[VARIABLES[0]]) < 40


def test_where_no_folder_can_be_made_mpirun_does_as_it_would(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    monkeypatch.delenv(VARIABLES[0], raising=False)
    with session():
        assert VARIABLES[0] not in os.environ


def test_the_next_session_removes_what_a_killed_one_has_left_and_nothing_else(above):
    code = f"import tempfile; tempfile.tempdir = {str(above)!r}\nfrom dpnet.launch.session import session\n"
    code += "with session(): print(flush=True); input()"
    line, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with (
        subprocess.Popen(line, stdin=pipe, stdout=pipe) as killed,
        subprocess.Popen(line, stdin=pipe, stdout=pipe) as alive,
    ):
        for process in (killed, alive):
            process.stdout.readline()
        before = set(above.iterdir())
        killed.kill()
        killed.wait()
        (above / "somebody else's").mkdir()
        clear(above)
        (left,) = before & set(above.iterdir())
        (left / "owner").write_text("another host that shares this folder")
        alive.kill()
    clear(above)
    assert left.exists()
    assert (above / "somebody else's").exists()


def segment(folder, name):
    path = folder / name
    path.write_bytes(bytes(4096))
    os.utime(path, (0, time.time() - 2 * SEGMENT_AGE_S))
    return path


def test_segments_that_nobody_has_mapped_are_removed(tmp_path):
    left = [segment(tmp_path, name) for name in ("sm_segment.host.0.1234.0", "mpich_shm_12ab_0")]
    used, others = segment(tmp_path, "sm_segment.host.0.5678.0"), segment(tmp_path, "data")
    new = segment(tmp_path, "sm_segment.host.0.9.0")
    os.utime(new)
    with used.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        clear_segments(tmp_path)
    assert [path.exists() for path in left] == [False, False]
    assert used.exists()
    assert others.exists()
    assert new.exists()


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("who", ["nobody", "mpirun", "launch"])
def test_open_mpi_leaves_no_folder_whoever_is_killed(above, tmp_path, who):
    if vendor() != "Open MPI":
        pytest.skip("this is about Open MPI's folders")
    mpirun(1)
    line = [*LAUNCH, "-n", "2", "--", "train", "--output", str(tmp_path / "run")]
    steps = ["--set", f"train.steps={3 if who == 'nobody' else 1000000}"]
    job = start([*line, *steps], env={"TMPDIR": str(above)})
    try:
        if who == "nobody":
            assert job.wait(60) == 0, job.read()
        else:
            assert wait_for(lambda: list(above.glob("dpnet-*/ompi.*")) and (tmp_path / "run/metrics.jsonl").exists())
            launch, mpirun_pid = job.process.pid, next(iter(above.glob("dpnet-*/ompi.*"))).name.split(".")[1]
            os.kill(launch if who == "launch" else int(mpirun_pid), signal.SIGKILL)
            job.wait(60)
    finally:
        job.close()
    if who == "launch":
        code, text = run_command([*LAUNCH, "-n", "2", "--", "--version"], timeout_s=60, env={"TMPDIR": str(above)})
        assert code == 0, text
    assert not list(above.iterdir())
