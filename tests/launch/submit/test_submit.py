"""`dpnet submit`: what it checks, the script that it writes, whom it asks. Schedulers are scripts of the test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dpnet.cli import main as cli

ASKED = ["-N", "2", "--ranks-per-node", "2", "--time", "01:00:00"]
ODD = "a b'c\"d $HOME%j"
JOB = '[train]\nsteps = 4\nkernels = "numpy"\nblas = "numpy"\nreproducible_shards = 4\n[evaluate]\nevery_steps = 0\n'


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A working directory with a job file, and a PATH without schedulers."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PWD", str(tmp_path / "work"))
    Path("job.toml").write_text(JOB)
    return tmp_path


def program(there, name, text):
    path = there / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def sbatch(there):
    """An sbatch that keeps its directory and its arguments."""
    program(there, "sbatch", f'printf "%s\\n" "$PWD" "$@" > {there}/called; echo "12;here"')
    return there / "called"


@pytest.fixture
def qsub(there):
    program(there, "qsub", f'printf "%s\\n" "$PWD" "$@" > {there}/called; echo 12.server')
    return there / "called"


def submit(capsys, *words, asked=ASKED):
    """The exit code, what is printed, and the error."""
    code = cli.run(["submit", *asked, *words])
    return code, *capsys.readouterr()


def directives(script):
    return [line for line in script.splitlines() if line.startswith(("#SBATCH", "#PBS"))]


# --- the script ---


def test_the_script_for_slurm_asks_for_what_was_asked_for(there, capsys):
    words = ["--partition", "cpu", "--account", "us", "--name", "mine", "--cpus-per-rank", "3"]
    code, script, _ = submit(capsys, "--scheduler", "slurm", "--dry-run", *words, "job.toml")
    assert code == 0
    assert directives(script) == [
        "#SBATCH --job-name=mine",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=2",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --time=01:00:00",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --requeue",
        f"#SBATCH --output={there}/work/runs/digits/slurm-%j.out",
        "#SBATCH --open-mode=append",
        "#SBATCH --partition=cpu",
        "#SBATCH --account=us",
    ]
    assert os.listdir() == ["job.toml"], "a dry run writes something"


def test_the_script_for_pbs_asks_for_what_was_asked_for(there, capsys):
    words = ["--partition", "cpu", "--account", "us", "--name", "mine", "--cpus-per-rank", "3", "--seeds", "2..4"]
    code, script, _ = submit(capsys, "--scheduler", "pbs", "--dry-run", *words, "job.toml")
    assert code == 0
    assert directives(script) == [
        "#PBS -N mine",
        "#PBS -l select=2:ncpus=6:mpiprocs=2:ompthreads=3",
        "#PBS -l walltime=01:00:00",
        "#PBS -r y",
        "#PBS -j oe",
        "#PBS -q cpu",
        "#PBS -A us",
        "#PBS -J 2-4",
    ]


def test_the_ranks_are_started_by_srun_where_that_is_asked_for(there, capsys):
    plain, by_srun = (
        submit(capsys, "--scheduler", "slurm", "--dry-run", *words, "job.toml")[1] for words in ((), ("--srun",))
    )
    assert [line for line in plain.splitlines() if line.startswith("exec")] == ['exec dpnet launch -- train "$@"']
    assert [line for line in by_srun.splitlines() if line.startswith("exec")] == [
        'exec dpnet launch --srun -- train "$@"'
    ]
    assert directives(plain) == directives(by_srun)


def test_a_short_job_gets_no_signal_as_slurm_would_send_it_at_once(there, capsys):
    asked = [*ASKED[:-1], "00:05:00"]
    _, script, _ = submit(capsys, "--scheduler", "slurm", "--dry-run", "job.toml", asked=asked)
    assert not [line for line in directives(script) if "signal" in line]


@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
@pytest.mark.parametrize("seeds", ["", "5", "1..3"])
def test_the_script_starts_the_training_whatever_its_paths_are(there, monkeypatch, capsys, scheduler, seeds):
    folder = there / ODD
    (folder / "venv/bin").mkdir(parents=True)
    fake = folder / "venv/bin/dpnet"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$@"\n')
    fake.chmod(0o755)
    monkeypatch.chdir(folder)
    Path(f"{ODD}.toml").write_text(JOB)
    Path("site.toml").write_text(f"environment = {json.dumps(str(folder / 'venv'))}\n")
    words = ["--profile", "site.toml", "--scheduler", scheduler, "--output", ODD, "--set", "data.source=digits"]
    code, script, _ = submit(capsys, "--dry-run", *words, *(["--seeds", seeds] if seeds else []), f"{ODD}.toml")
    assert code == 0
    number = {"slurm": "SLURM_ARRAY_TASK_ID", "pbs": "PBS_ARRAY_INDEX"}[scheduler]
    environ = {number: "2"} if ".." in seeds else {}
    shown = subprocess.run(
        ["/bin/bash", "-c", script], cwd="/", env=environ, capture_output=True, text=True, check=True
    )
    run, seed = folder / ODD, {"": [], "5": ["--set", "train.seed=5"], "1..3": ["--set", "train.seed=2"]}[seeds]
    run_dir = run / "seed-2" if ".." in seeds else run
    assert shown.stdout.splitlines() == [
        *(str(folder), "launch", "--", "train", str(run / "job.toml"), "--set", "data.source=digits"),
        *(*seed, "--output", str(run_dir)),
    ]


def test_a_virtual_environment_is_activated_and_another_one_is_put_on_the_path(there, capsys):
    assert Path(sys.prefix, "pyvenv.cfg").exists(), "these tests run in a virtual environment"
    _, script, _ = submit(capsys, "--scheduler", "slurm", "--dry-run", "job.toml")
    assert f"\n. {sys.prefix}/bin/activate\n" in script
    (there / "conda/bin").mkdir(parents=True)
    for name in ("dpnet", "activate"):  # Conda's own script of that name is none of a virtual environment.
        (there / "conda/bin" / name).write_text("")
        (there / "conda/bin" / name).chmod(0o755)
    Path("site.toml").write_text(f'environment = "{there}/conda"')
    _, script, _ = submit(capsys, "--scheduler", "slurm", "--dry-run", "--profile", "site.toml", "job.toml")
    assert f'\nexport PATH={there}/conda/bin:"$PATH"\n' in script


def test_the_script_has_the_name_that_the_shell_has_for_the_directory(there, monkeypatch, capsys):
    (there / "link").symlink_to(there / "work")
    for name, shown in ((there / "link", "link"), (there, "work")):  # The last is of another directory.
        monkeypatch.setenv("PWD", str(name))
        _, script, _ = submit(capsys, "--scheduler", "slurm", "--dry-run", "job.toml")
        assert f"\ncd {there}/{shown}\n" in script
        assert f"--output {there}/{shown}/runs/digits\n" in script


def test_a_profile_gives_defaults_and_lines_of_the_script(there, capsys):
    Path("site.toml").write_text(
        'scheduler = "slurm"\nnodes = 7\nranks_per_node = 3\ntime = "02:00:00"\npartition = "long"\n'
        'setup = ["module load gcc", "export A=1"]\noptions = ["--constraint=icelake"]\n'
    )
    asked = ["--profile", "site.toml", "-N", "1"]
    code, script, _ = submit(capsys, "--dry-run", "job.toml", asked=asked)
    assert code == 0
    assert {"#SBATCH --nodes=1", "#SBATCH --ntasks-per-node=3", "#SBATCH --time=02:00:00"} <= set(directives(script))
    assert directives(script)[-2:] == ["#SBATCH --partition=long", "#SBATCH --constraint=icelake"]
    assert f"\nmodule load gcc\nexport A=1\n. {sys.prefix}/bin/activate\n" in script


# --- submitted ---


def test_slurm_gets_the_script_and_the_user_the_number_the_log_and_how_to_stop_it(there, sbatch, capsys):
    code, told, _ = submit(capsys, "job.toml")
    run = there / "work/runs/digits"
    assert code == 0
    assert sbatch.read_text().splitlines() == [str(run), "--parsable", str(run / "job.sbatch")]
    script, _, lines = told.partition("\nsubmitted: ")
    assert (run / "job.sbatch").read_text() == script
    assert (run / "job.toml").read_text() == JOB
    assert lines == f"job 12\nits log:   {run}/slurm-12.out\nto stop:   scancel 12\n"


def test_pbs_gets_the_script_in_the_run_directory_where_it_writes_the_log(there, qsub, capsys):
    code, told, _ = submit(capsys, "--name", "mine", "job.toml")
    run = there / "work/runs/digits"
    assert code == 0
    assert qsub.read_text().splitlines() == [str(run), "job.pbs"]
    assert told.endswith(f"job 12.server\nits log:   {run}/mine.o12\nto stop:   qdel 12.server\n")


def test_an_array_has_a_run_directory_for_each_seed(there, sbatch, capsys):
    _, told, _ = submit(capsys, "--seeds", "1..3", "job.toml")
    assert "#SBATCH --array=1-3" in told
    assert f"{there}/work/runs/digits/slurm-12_SEED.out, with each of 3 seeds for SEED" in told
    assert f'--output {there}/work/runs/digits"/seed-$SLURM_ARRAY_TASK_ID"' in told


# --- refused ---


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--nodes", "3", "job.toml"], "reproducible_shards is 4, but there are 6 ranks; start at most 4"),
        (["--set", "data.source=nowhere.csv", "job.toml"], "nowhere.csv"),
        (["--set", "data.source=some.csv", "--set", "data.target=c", "job.toml"], "has no column 'c'"),
        (["--set", "train.stepz=1", "job.toml"], "stepz"),
        (["--set", "evaluate.patience=2", "--set", "evaluate.every_steps=1", "job.toml"], "no validation data"),
        (["missing.toml"], "missing.toml"),
        (["/dev/stdin"], "give a file"),
        (["--time", "60", "job.toml"], "--time is '60'; it must be hours, minutes and seconds"),
        (["--time", "00:00:00", "job.toml"], "--time is '00:00:00'"),
        (["--ranks-per-node", "0", "job.toml"], "--ranks-per-node is '0'; it must be a number from 1"),
        (["--partition", "a b", "job.toml"], "--partition is 'a b'"),
        (["--name", "a/b", "job.toml"], "--name is 'a/b'"),
        (["--scheduler", "lsf", "job.toml"], "it must be slurm or pbs"),
        (["--scheduler", "pbs", "job.toml"], "there is no qsub on PATH"),
        (["--profile", "none.toml", "job.toml"], "cannot read the profile none.toml"),
        (["--output", "a\\b", "job.toml"], "cannot write a log"),
        (["--srun", "--scheduler", "pbs", "--dry-run", "job.toml"], "srun is of Slurm"),
    ],
)
def test_what_would_fail_in_the_queue_is_refused_before(there, sbatch, capsys, words, text):
    Path("some.csv").write_text("a,b\n1,2\n3,4\n")
    before = sorted(os.listdir())
    code, _, error = submit(capsys, *words)
    assert code in (1, 2)
    assert text in " ".join(error.split())
    assert not sbatch.exists()
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ("nods = 1", "nods in the profile site.toml is no key"),
        ("srun = 1", "srun in site.toml is 1; it must be true or false"),
        ("nodes = true", "nodes in site.toml is True"),
        ("setup = 'a'", "setup in site.toml is 'a'; it must be a list of lines"),
        ("options = ['a\\nb']".replace("'", '"'), "it must be a list of lines"),
        ("environment = '/nowhere'", "it must be the folder of an environment"),
        ("environment = '/'", "there is no program /bin/dpnet"),
        ("nodes =", "is no TOML"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_place(there, sbatch, capsys, profile, text):
    Path("site.toml").write_text(profile)
    code, _, error = submit(
        capsys, "--profile", "site.toml", "job.toml", asked=ASKED[2:] + ["-N", "2"] * (profile[:5] != "nodes")
    )
    assert code == 2
    assert text in " ".join(error.split())
    assert not sbatch.exists()


def test_without_a_scheduler_or_with_two_the_user_says_which(there, capsys):
    assert "neither sbatch nor qsub is on PATH" in " ".join(submit(capsys, "job.toml")[2].split())
    for name in ("sbatch", "qsub"):
        program(there, name, "exit 1")
    assert "both sbatch and qsub are on PATH" in " ".join(submit(capsys, "job.toml")[2].split())


def test_numbers_that_are_missing_are_named(there, sbatch, capsys):
    assert "--time is missing; give it, or time in a profile" in submit(capsys, "job.toml", asked=ASKED[:-2])[2]


def test_what_the_scheduler_says_against_a_job_is_told(there, capsys):
    program(there, "sbatch", "echo Invalid partition >&2; exit 1")
    code, _, error = submit(capsys, "job.toml")
    assert code == 2
    assert "sbatch does not take the job: Invalid partition" in error


# --- the run directory ---


def test_the_same_submission_has_the_same_directory_and_another_job_another(there, sbatch, capsys):
    def where():
        assert submit(capsys, "job.toml")[0] == 0
        return Path(sbatch.read_text().splitlines()[0]).name

    assert [where(), where()] == ["digits", "digits"]
    Path("job.toml").write_text(JOB.replace("steps = 4", "steps = 5"))
    assert where() == "digits-2"
    assert Path("runs/digits/job.toml").read_text() == JOB, "the job that waits was changed"


def test_a_complete_training_is_not_queued_and_another_one_not_on_top_of_it(there, sbatch, capsys):
    assert cli.run(["train", "job.toml"]) == 0
    code, told, _ = submit(capsys, "job.toml")
    assert (code, sbatch.exists()) == (0, False)
    assert "runs/digits is complete already: nothing is submitted" in told
    assert submit(capsys, "--output", "runs/digits", "--set", "optimizer.learning_rate=0.5", "job.toml")[0] == 1
    assert not sbatch.exists()
    assert submit(capsys, "--set", "optimizer.learning_rate=0.5", "job.toml")[0] == 0
    assert "runs/digits-2" in sbatch.read_text()


def test_a_training_that_is_to_go_on_past_its_end_is_queued(there, sbatch, capsys):
    longer = ["--output", "run", "--set", "train.steps=6", "job.toml"]
    assert cli.run(["train", "--output", "run", "job.toml"]) == 0
    assert submit(capsys, *longer)[0] == 0
    assert sbatch.read_text().startswith(f"{there}/work/run\n")


def test_where_another_job_was_trained_meanwhile_the_directory_is_its(there, sbatch, capsys):
    assert submit(capsys, "job.toml")[0] == 0
    assert cli.run(["train", "--output", "runs/digits", "--set", "optimizer.learning_rate=0.5", "job.toml"]) == 0
    assert submit(capsys, "job.toml")[0] == 0
    assert "runs/digits-2" in sbatch.read_text()
