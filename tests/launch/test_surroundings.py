"""`dpnet launch` and `dpnet tune` leave what is around them alone: the caller's input, and files that lie nearby."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.faults import wait_for
from helpers.mpirun import mpirun, run_command
from helpers.night import at_night
from helpers.vendor import vendor

from dpnet import environment
from dpnet.cli import main as cli
from dpnet.cli.commands import tune
from dpnet.cli.commands.tune import Choice
from dpnet.compute.cores.available import available_cores
from dpnet.compute.threads import VARIABLES
from dpnet.environment import SAFE_PATH, python_of_dpnet
from dpnet.errors import ConfigError
from dpnet.launch.directory import where_ranks_run
from dpnet.launch.options import num_ranks

DPNET = str(Path(sys.executable).with_name("dpnet"))
"""The console script: unlike `python -m dpnet` it does not look for modules in the current directory."""
SHORT = ["--set", "train.steps=3", "--set", "checkpoint.every_steps=0"]
TIMED = ["--set", "model.hidden_layers=[8]", "--seconds", "0.1"]


def shell(folder: Path, script: str, *arguments: str):
    """Run a shell script in a folder; returns exit code and output."""
    mpirun(1)  # Skips where there is no MPI.
    return run_command(["env", "-C", str(folder), "bash", "-c", script, DPNET, *arguments], timeout_s=150)


# --- standard input ---


@pytest.mark.ranks
@pytest.mark.slow
def test_a_loop_over_lines_runs_once_for_each_line(tmp_path):
    (tmp_path / "seeds").write_text("1\n2\n")
    script = 'while read s; do "$0" launch -n 2 -- train "$@" --set train.seed=$s --output r$s; done < seeds'
    code, text = shell(tmp_path, script, *SHORT)
    assert code == 0, text
    assert sorted(path.name for path in tmp_path.glob("r*")) == ["r1", "r2"]


@pytest.mark.ranks
@pytest.mark.slow
def test_megabytes_on_standard_input_do_no_harm(tmp_path):
    code, text = shell(tmp_path, 'head -c 3000000 /dev/zero | "$0" launch -n 2 -- train "$@"; exit $?', *SHORT)
    assert code == 0, text
    assert "finished after 3 steps" in text


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"])
def test_a_job_on_standard_input_is_refused_where_ranks_have_none(capsys, path):
    assert cli.run(["launch", "-n", "2", "--", "train", path]) == 2
    assert f"ConfigError: {path} is open in this process alone" in capsys.readouterr().err


# --- files in the current directory ---


def namesakes(folder: Path) -> Path:
    """A folder of user files that are named like modules; each leaves a trace if it is run."""
    for name in ("dpnet", "random", "signal", "numpy", "json", "safetensors", "mpi4py"):
        (folder / f"{name}.py").write_text(f"open({str(folder / 'seen')!r}, 'a').write('{name} ')\n")
    return folder


@pytest.mark.ranks
@pytest.mark.slow
def test_the_users_own_dpnet_py_is_not_run_by_launch(tmp_path):
    large = ["--set", "model.hidden_layers=[1024]", "--set", "checkpoint.every_steps=1"]  # So a writer is started.
    code, text = shell(namesakes(tmp_path), '"$0" launch -n 2 -- train "$@"', *SHORT, *large)
    assert code == 0, text
    assert "finished after 3 steps" in text
    assert not (tmp_path / "seen").exists(), (tmp_path / "seen").read_text()


@pytest.mark.ranks
@pytest.mark.slow
def test_tune_names_the_best_and_runs_no_dpnet_py_of_the_user_and_a_script_on_standard_input_goes_on(tmp_path):
    (tmp_path / "script").write_text('"$@"\necho "the next line of the script"\n')
    before = sorted(os.listdir(namesakes(tmp_path)))
    line = ["env", *(word for name in VARIABLES for word in ("-u", name)), "bash", "-s", "--", '"$0"', "tune", '"$@"']
    code, text = shell(tmp_path, f"{' '.join(line)} < script", *TIMED)
    assert code == 0, text
    assert re.search(rf"^ *{available_cores()} +1 +[\d,]+", text, re.MULTILINE), text
    assert "best: dpnet" in text
    assert "the next line of the script" in text
    # No trace of a run, nor one of a namesake that was run.
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "line", [["-P", "-m", "dpnet"], ["-c", f"{SAFE_PATH}; from dpnet.__main__ import main; main()"]]
)
def test_each_safe_start_finds_the_installed_dpnet_and_pythonpath(tmp_path, line):
    if line[0] == "-P" and sys.version_info < (3, 11):
        pytest.skip("Python has -P from 3.11 on")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/sitecustomize.py").write_text("print('from PYTHONPATH')\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "mine")}
    command = [sys.executable, *line, "--version"]
    result = subprocess.run(command, cwd=namesakes(tmp_path), env=environ, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"from PYTHONPATH\ndpnet [\d.]+.*", result.stdout.rstrip(), re.DOTALL)
    assert not (tmp_path / "seen").exists()


def test_python_3_10_which_has_no_safe_path_gets_one(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 12))
    assert python_of_dpnet()[1] == "-c"


def test_a_clone_that_is_not_installed_starts_itself(monkeypatch):
    above = str(Path(environment.__file__).parents[1])
    monkeypatch.setattr(sys, "path", [above, "/somewhere"])
    assert python_of_dpnet() == [sys.executable, "-m", "dpnet"]
    monkeypatch.setattr(sys, "path", [above, "/somewhere", above])
    assert python_of_dpnet() != [sys.executable, "-m", "dpnet"]


# --- time ---


@pytest.mark.slow
def test_a_choice_that_takes_too_long_is_left_out_and_ended_with_what_mpirun_left_running(tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "TIMEOUT_S", 2.0)
    path, left = tmp_path / "mpirun", tmp_path / "pid"
    path.write_text(
        "#!/bin/bash\n"
        f'[[ $1 == --version ]] && echo "mpirun (Open MPI) 5.0.1" && exit\nsetsid sleep 100 &\necho $! > {left}\nwait\n'
    )
    path.chmod(0o755)
    assert tune.measure(Choice(2, 1), [], 90.0, str(path)) is None
    assert wait_for(lambda: read(Path(f"/proc/{left.read_text().strip()}/cmdline")) == "")


def read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


# --- another directory ---


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "restarts"),
    [
        ("--wdir there", 0),
        at_night("--wdir there", 1),
        at_night("-wdir there", 0),
        at_night("-wdir there", 1),
        at_night("--wdir=there", 0),
        ("--wdir=there", 1),
    ],
)
def test_a_training_in_another_directory_is_found_there(tmp_path, form, restarts):
    if vendor() != "Open MPI" and "=" in form:
        pytest.skip("only Open MPI takes --wdir=DIR")
    (tmp_path / "there").mkdir()
    (tmp_path / "there/job.toml").write_text("[train]\nsteps = 3\n")
    place = form.replace("there", str(tmp_path / "there"))
    script = f'"$0" launch -n 2 --max-restarts {restarts} {place} -- train job.toml'
    code, text = shell(tmp_path, script)
    assert code == 0, text
    assert text.count("finished after 3 steps") == 1
    assert "attempt" not in text
    assert "no summary" not in text
    assert (tmp_path / "there/runs/digits/summary.json").exists()


def test_a_directory_that_is_missing_is_refused_where_the_ranks_run_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    with where_ranks_run(["-n", "2", "--wdir", "there"], job_in) as job_of:
        assert job_of([]) is None
        assert Path.cwd() == tmp_path / "there"
    assert Path.cwd() == tmp_path
    with (
        pytest.raises(ConfigError, match=r"cannot run in nowhere \(--wdir\): No such file"),
        where_ranks_run(["--wdir=nowhere"], job_in),
    ):
        pass


def job_in(command):
    """Stands for a job file that lies wherever one looks."""


@pytest.mark.parametrize(
    ("restarts", "code", "told"),
    [
        ("0", 0, "dpnet launch: cannot see here whether the training is complete: the job is read in "),
        ("1", 2, "ConfigError: the job is read in "),
    ],
)
def test_a_job_of_the_same_name_is_not_taken_for_that_in_a_directory_of_other_hosts(
    tmp_path, monkeypatch, capsys, restarts, code, told
):
    monkeypatch.chdir(tmp_path)
    Path("job.toml").write_text("")
    path = tmp_path / "mpirun"
    path.write_text("#!/bin/sh\necho 'mpirun (Open MPI) 4.1.6'\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    line = ["launch", "-n", "2", "--max-restarts", restarts, "--wdir", "/nowhere", "--host", "a,b"]
    assert cli.run([*line, "--", "train", "job.toml"]) == code
    assert (
        f"{told}/nowhere (--wdir), which this host must have too: No such file or directory\n"
        in capsys.readouterr().err
    )
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("options", [["--np=3"], ["-n", "3"], ["-np", "3", "-x", "n"]])
def test_the_number_of_ranks_may_be_given_in_each_form(options):
    assert num_ranks(options) == 3


# --- another MPI ---


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("by_launch", [False, True])
def test_the_mpirun_of_another_mpi_is_told_before_its_page(by_launch):
    mpirun(1)
    other = ("MPICH or Intel MPI", "PMI") if vendor() == "Open MPI" else ("Open MPI", "OMPI_COMM_WORLD")
    environ = [f"{other[1]}_RANK=0", f"{other[1]}_SIZE=2", *(["DPNET_ATTEMPT=x"] if by_launch else [])]
    code, text = run_command(["env", *environ, sys.executable, "-m", "dpnet", "train"], timeout_s=60)
    assert code
    assert text.startswith(
        f"note: mpirun is that of {other[0]}, but mpi4py loads {vendor()}: they do not belong together"
    )
    assert ("Start with `dpnet launch`" in text) == (not by_launch)
