"""The command line in one process: what it prints, what it leaves behind, and its exit codes."""

import csv
import importlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dpnet
from dpnet.cli import main as cli
from dpnet.compute.threads import VARIABLES
from dpnet.errors import CheckpointError, ConfigError, DataError, OutputError
from dpnet.resilience.signals import SAME_INTERRUPT_S

QUICK = ["--set", "train.epochs=2", "--set", "model.hidden_layers=[16]"]
COMMANDS = ("train", "launch", "evaluate", "predict", "inspect", "digest", "gradcheck", "init", "plot", "doctor")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory with a short training of the digits in it."""
    path = tmp_path_factory.mktemp("trained") / "run"
    assert cli.run(["train", "--output", str(path), *QUICK]) == 0
    return path


def summary(path):
    return json.loads((path / "summary.json").read_text())


def say(capsys, *arguments):
    """Run a command that succeeds and prints on stderr at most which checkpoint it takes; returns its stdout."""
    capsys.readouterr()
    assert cli.run([*map(str, arguments)]) == 0
    seen = capsys.readouterr()
    assert re.fullmatch(r"(.*: the newest checkpoint, step \d+; none is kept as the best\n)?", seen.err)
    return seen.out


def refused(capsys, *arguments, code, kind, parts):
    """The command ends with the code and with one message on stderr."""
    assert cli.run([*map(str, arguments)]) == code
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith(f"{kind.__name__}: "), seen.err
    assert seen.err.count("Error: ") == 1
    for part in parts:
        assert str(part) in seen.err


def process(*arguments, text=True, **how):
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "dpnet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=text, timeout=240, check=False, **how)


# --- help, version, usage ---


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(["--version"])
    assert stop.value.code == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        f"dpnet {dpnet.__version__}, Python {platform.python_version()}, numpy {np.__version__} with "
    )
    assert f"mpi4py {importlib.metadata.version('mpi4py')}, " in line
    assert re.search(r"(Open MPI|MPICH|Intel MPI|unknown MPI) [\d.]* ?\(/.*mpirun\)|no mpirun", line)


def test_the_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^    {name}\b", text, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_and_a_function(capsys, name):
    with pytest.raises(SystemExit) as stop:
        cli.run([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: dpnet {name}" in capsys.readouterr().out
    assert name == "launch" or callable(importlib.import_module(f"dpnet.cli.commands.{name}").run)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "COMMAND"),
        (["tarin"], "there is no command 'tarin' (did you mean 'train'?); commands: train, launch, evaluate, "),
        (["lanch", "-n", "2"], "did you mean 'launch'?"),
        (["xyzzy"], "there is no command 'xyzzy'; commands: train"),
        (
            ["train", "--epochs", "3"],
            "no option --epochs; settings are given as --set: --set train.epochs=3\n",
        ),
        (["train", "--epochs=3"], "settings are given as --set: --set train.epochs=3\n"),
        (["train", "--learning-rate", "0.1", "job.toml"], "--set optimizer.learning_rate=0.1\n"),
        (["train", "--name", "adam"], "--set optimizer.name=adam or --set schedule.name=adam\n"),
        (["train", "--nothing", "3"], "unrecognized arguments: --nothing"),
        (["train", "--set", "train.epochs=1", "train.seed=3"], "train.seed=3 needs a --set of its own in front"),
        (["predict", "run", "--data", "d", "--out", "p", "--set", "train.threads=1"], "no option --set here"),
        (["train", "job.toml", "--set", "train.epochs=1", "train.seed=3"], "in front: --set train.seed=3\n"),
        (["evaluate", "run", "--data", "digits", "--split", "all"], "'all'"),
        (["predict", "run", "--data", "digits"], "--out"),
        (["predict", "run", "--data", "digits", "--out", "p.npy", "--batch-size", "0"], "'0' is no positive integer"),
        (["predict", "run", "--data", "digits", "--out", "p.npy", "--batch-size", "²"], "'²' is no positive integer"),
        (["digest"], "checkpoint"),
        (["plot"], "RUN"),
    ],
)
def test_wrong_usage_ends_with_code_2(capsys, arguments, part):
    with pytest.raises(SystemExit) as stop:
        cli.run(arguments)
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert "usage: dpnet" in text
    assert part in text


def test_help_and_version_need_neither_numpy_nor_mpi():
    # Not only for speed: a module that imports numpy too early does so before the threads of its BLAS are set.
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('numpy', 'mpi4py', 'pydantic', 'safetensors')))  # Importing them fails.\n"
        "from dpnet.cli.main import run\n"
        "run(sys.argv[1:])\n"
    )
    for option in ("--version", "--help"):
        result = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


def test_threads_are_set_before_numpy_is_imported():
    code = (
        "import os, sys\n"
        "from dpnet import __main__\n"
        "from dpnet.cli import main as cli\n"
        "cli.run = lambda argv: print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])\n"
        "__main__.main()\n"
    )
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environ.update({"PMI_RANK": "1", "PMI_SIZE": "1000", "MPI_LOCALNRANKS": "1000"})
    result = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert result.stdout == "False 1\n"


# --- train ---


def test_training_without_a_job_file_learns_the_digits_without_mpi(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['mpi4py'] = None  # Importing it fails.\n"
        "from dpnet.cli.main import run\n"
        "sys.exit(run(['train', '--set', 'train.epochs=3']))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "1 rank on 1 host" in result.stdout
    assert summary(tmp_path / "runs/digits")["eval_accuracy"] > 0.9


def test_settings_of_the_command_line_win_over_those_of_the_job_file(tmp_path, capsys):
    Path("job.toml").write_text("[train]\nsteps = 9\n[model]\nhidden_layers = [8]\n[output]\ndir = 'elsewhere'\n")
    say(capsys, "train", "job.toml", "--output", "here", "--set", "train.steps=4", "--set", "train.steps=2")
    assert summary(tmp_path / "here")["steps"] == 2
    assert not (tmp_path / "elsewhere").exists()
    job = dpnet.load_job(tmp_path / "here/config.toml")
    assert job.model.hidden_layers == (8,)
    assert job.output.dir == "here"


@pytest.mark.parametrize("name", ['with "quotes"', "with = and [brackets]", "back\\slash", "1e3", "true", "ünïcode"])
def test_any_name_of_an_output_folder_is_taken_as_it_is(tmp_path, capsys, name):
    say(capsys, "train", "--output", name, "--set", "train.steps=1", "--set", "model.hidden_layers=[]")
    assert (tmp_path / name / "summary.json").exists()


def test_a_run_goes_on_with_its_own_job_when_only_its_directory_is_given(tmp_path, capsys):
    Path("job.toml").write_text("[train]\nepochs = 2\nglobal_batch_size = 200\n[model]\nhidden_layers = [8]\n")
    say(capsys, "train", "job.toml", "--output", "run")
    os.rename("run", "moved")
    text = say(capsys, "train", "--resume", "moved", "--set", "train.steps=20")
    assert "going on from the checkpoint of step 16" in text
    assert "20 steps of 200 samples, 200 on each rank; moved" in text
    assert summary(tmp_path / "moved")["steps"] == 20
    assert dpnet.load_job("moved/config.toml").model.hidden_layers == (8,)
    say(capsys, "train", "--resume", "moved/checkpoints/latest", "--output", "other", "--set", "train.steps=24")
    assert summary(tmp_path / "other")["steps"] == 24
    # What `dpnet launch` types after a failure, and what Ctrl-C tells to type.
    say(capsys, "train", "--resume", "moved", "--set", "train.steps=30", "--resume", "auto")
    assert summary(tmp_path / "moved")["steps"] == 30
    assert not Path("runs").exists()


@pytest.mark.parametrize("output", [(), ("--output", "b")])
def test_fewer_epochs_than_the_run_has_are_refused(run, capsys, output):
    refused(
        capsys,
        *("train", "--resume", run, "--set", "train.epochs=1", *output),
        code=1,
        kind=CheckpointError,
        parts=["train.epochs is 1, 23 steps; the run is past that, at step 46"],
    )
    assert not Path("b").exists()


def test_another_job_with_a_run_and_no_job_file_is_told_the_job_file_of_the_run(run, capsys):
    setting = ("--set", "train.global_batch_size=32")
    parts = ["  dpnet train JOB.toml --output DIR ", f"; JOB.toml is your job file, or {run}/config.toml with the same"]
    for path in (run, f"{run}/checkpoints/latest"):
        refused(capsys, "train", "--resume", path, *setting, code=1, kind=CheckpointError, parts=parts)
    text = say(capsys, "train", f"{run}/config.toml", "--output", "new", *setting)
    assert "steps of 32 samples" in text


def test_a_complete_training_is_not_repeated_and_never_lost(run, capsys):
    before = summary(run)
    assert "is complete already, 46 steps; to train anew: --resume never" in say(
        capsys, "train", "--output", run, *QUICK
    )
    assert summary(run) == before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["missing.toml"], ["cannot read the job file missing.toml"]),
        (["--set", "train.epochz=2"], ["train.epochz", "did you mean train.epochs?"]),
        (["--set", "train.epochs=two"], ["train.epochs", "two"]),
        (["--set", "train.epochs"], ["--set train.epochs", "section.key=value"]),
        (["--set", "train.epochs=2", "--set", "train.steps=2"], ["exclude one another"]),
    ],
)
def test_a_wrong_configuration_ends_with_code_2(tmp_path, capsys, arguments, parts):
    refused(capsys, "train", *arguments, code=2, kind=ConfigError, parts=parts)
    assert not list(tmp_path.iterdir())


def test_training_goes_on_only_from_what_is_there(capsys):
    refused(capsys, "train", "--resume", "nowhere", code=1, kind=CheckpointError, parts=["nowhere does not exist"])


# --- what reads a checkpoint ---


@pytest.mark.parametrize("name", ["digest", "inspect"])
def test_a_checkpoint_a_run_and_a_link_mean_the_same(run, capsys, name):
    newest = run / "checkpoints" / f"step-{summary(run)['steps']:08d}"
    seen = {say(capsys, name, path).partition("\n\n")[2] for path in (newest, run, run / "checkpoints/latest")}
    assert len(seen) == 1


def test_digest_prints_that_of_the_summary_and_nothing_else(run, capsys):
    assert say(capsys, "digest", run) == summary(run)["digest"] + "\n"


def test_inspect_shows_layers_step_scores_and_digest(run, capsys):
    text = say(capsys, "inspect", run)
    for pattern in (
        r"0\.weight +16×64 +float32 +1,024",
        r"2\.bias +10 +float32 +10",
        r"all +1,210",
        r"network +64-16-10, relu",
        r"step +46, epoch 2",
        rf"digest +{summary(run)['digest']}",
        rf"accuracy {summary(run)['eval_accuracy']:.2%}",
    ):
        assert re.search(pattern, text), pattern


def test_evaluate_prints_the_scores_of_the_training(run, capsys):
    expected = summary(run)
    assert say(capsys, "evaluate", run, "--data", "digits") == (
        f"accuracy {expected['eval_accuracy']:.4%}  loss {expected['eval_loss']:.6f}  samples 360\n"
    )


def test_evaluate_takes_the_training_samples_where_asked(run, capsys):
    assert say(capsys, "evaluate", run, "--data", "digits", "--split", "train").endswith("samples 1437\n")


@pytest.mark.parametrize("split", ["test", "train"])
def test_predictions_agree_with_the_scores(run, capsys, split):
    from dpnet.data.sources import open_split, require_labels

    labels = require_labels(open_split("digits", split))
    text = say(capsys, "predict", run, "--data", "digits", "--split", split, "--out", "p.npy")
    assert text == f"{len(labels)} predictions in p.npy\n"
    predicted = np.load("p.npy")
    assert (predicted["label"] == predicted["probabilities"].argmax(axis=1)).all()
    np.testing.assert_allclose(predicted["probabilities"].sum(axis=1), 1, rtol=1e-6)
    accuracy = np.mean(predicted["label"] == labels)
    loss = -np.mean(np.log(predicted["probabilities"][np.arange(len(labels)), labels].astype(float)))
    scores = say(capsys, "evaluate", run, "--data", "digits", "--split", split).split()
    assert scores[1] == f"{accuracy:.4%}"
    assert float(scores[3]) == pytest.approx(loss, rel=1e-5)


def test_predictions_are_the_same_in_both_formats(run, capsys):
    for name in ("p.npy", "p.csv"):
        say(capsys, "predict", run, "--data", "digits", "--out", name)
    expected = np.load("p.npy")
    with open("p.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["label", *(f"p{index}" for index in range(10))]
    assert [int(row[0]) for row in rows] == expected["label"].tolist()
    probabilities = np.array([row[1:] for row in rows], dtype=np.float32)
    assert probabilities.tobytes() == expected["probabilities"].tobytes()


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "part"),
    [
        (["evaluate", "RUN", "--data", "missing.npz"], 1, DataError, "missing.npz"),
        (["evaluate", "nowhere", "--data", "digits"], 1, CheckpointError, "nowhere does not exist"),
        (["predict", "RUN", "--data", "digits", "--out", "p.xls"], 2, ConfigError, "p.xls"),
        (["predict", "RUN", "--data", "digits", "--out", "no/folder/p.npy"], 1, OutputError, "no/folder/p.npy"),
        (["inspect", "."], 1, CheckpointError, "holds no checkpoint"),
        (["plot", "nowhere"], 1, DataError, "nowhere"),
    ],
)
def test_what_cannot_be_read_or_written_is_named(run, tmp_path, capsys, arguments, code, kind, part):
    if arguments[0] == "plot":
        pytest.importorskip("matplotlib")
    arguments = [str(run / "checkpoints/latest") if argument == "RUN" else argument for argument in arguments]
    refused(capsys, *arguments, code=code, kind=kind, parts=[part])
    assert not list(tmp_path.iterdir())


# --- gradcheck, init, plot ---


def test_gradcheck_prints_every_tensor_and_a_verdict(capsys):
    text = say(capsys, "gradcheck", "--set", "model.hidden_layers=[6,5]", "--set", "model.activation=tanh")
    for name in ("0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"):
        assert re.search(rf"^{re.escape(name)} .* ok$", text, re.MULTILINE), name
    assert "all gradients agree with central differences" in text


def test_gradcheck_fails_on_a_wrong_gradient(monkeypatch, capsys):
    from dpnet.nn.activations import ReLU

    right = ReLU.backward

    def wrong(self, a, da, dbias):
        call = right(self, a, da, dbias)

        def then_scaled():
            finite = call()
            np.multiply(da, 1.001, out=da)
            return finite

        return then_scaled

    monkeypatch.setattr(ReLU, "backward", wrong)
    assert cli.run(["gradcheck", "--set", "model.hidden_layers=[6]"]) == 1
    text = capsys.readouterr().out
    assert re.search(r"^0\.weight .* WRONG$", text, re.MULTILINE), text
    assert re.search(r"^2\.weight .* ok$", text, re.MULTILINE), text
    assert "are wrong" in text


def test_init_writes_a_job_that_trains_and_overwrites_nothing(capsys):
    assert "dpnet train my.toml" in say(capsys, "init", "my.toml")
    text = Path("my.toml").read_text()
    assert "#" in text
    say(capsys, "train", "my.toml", "--set", "train.steps=1", "--set", "model.hidden_layers=[]")
    refused(capsys, "init", "my.toml", code=1, kind=OutputError, parts=["my.toml", "exists already"])
    assert Path("my.toml").read_text() == text


def test_init_has_a_name_of_its_own(capsys):
    say(capsys, "init")
    assert Path("job.toml").exists()


def test_plot_draws_the_runs(run, capsys):
    pytest.importorskip("matplotlib")
    assert say(capsys, "plot", run, "--out", "curve.png") == "wrote curve.png\n"
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


# --- how a process ends ---


def test_an_error_of_a_process_is_one_message_without_a_traceback():
    result = process("digest", "nowhere")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("CheckpointError: nowhere does not exist")
    assert "Traceback" not in result.stderr


def test_a_fault_of_dpnet_itself_shows_its_traceback():
    # A user who reports the fault needs the place.
    code = (
        "import sys; from dpnet.cli import main; from dpnet.cli.commands import digest; "
        "digest.run = None; sys.exit(main.run(['digest', 'x']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_reader_that_leaves_early_is_no_fault(run):
    # As in `dpnet inspect RUN | head`.
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "dpnet", "inspect", str(run / "checkpoints/latest")]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == ""


LONG = ["--set", "train.epochs=5000", "--set", "output.log_every_steps=1", "--set", "checkpoint.every_epochs=0"]


def interrupted(*options, times=1):
    """Train in a process of its own, press Ctrl-C after the first epoch; returns exit code, stdout and stderr."""
    command = [sys.executable, "-m", "dpnet", "train", "--output", "a run", *LONG, *options]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in job.stdout:
        if "test loss" in line:
            break
    for _ in range(times):
        job.send_signal(signal.SIGINT)
        time.sleep(SAME_INTERRUPT_S + 0.2 if times > 1 else 0)
    said, errors = job.communicate(timeout=240)
    return job.returncode, said, errors


@pytest.mark.parametrize("resume", [(), ("--resume", "never")])
def test_ctrl_c_leaves_a_checkpoint_and_names_the_command_to_go_on(tmp_path, resume):
    code, said, errors = interrupted(*resume)
    assert code == 130
    assert "Ctrl-C: stopping after this step, with a checkpoint; Ctrl-C again ends at once\n" in said
    stopped, _, command = errors.partition(", with a checkpoint. Go on with:\n  ")
    assert stopped.startswith("Interrupted: stopped after step "), errors
    step = int(stopped.split()[4].replace(",", ""))
    assert (tmp_path / f"a run/checkpoints/step-{step:08}").is_dir()
    words = shlex.split(command)
    assert words == ["dpnet", "train", "--output", "a run", *LONG, *resume, *(["--resume", "auto"] if resume else [])]
    job = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert f"going on from the checkpoint of step {step:,}\n" in job.stdout
    finally:
        job.kill()
        job.communicate()


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import time, dpnet.training.agenda as agenda\n"
        "agenda.why_stop = lambda *args, **named: ''  # The training takes no notice.\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, said, errors = interrupted(times=2)
    assert (code, errors) == (130, "")
    assert "Ctrl-C again ends at once" in said


def test_ctrl_c_before_the_training_ends_it_at_once(tmp_path):
    os.mkfifo(tmp_path / "job.toml")  # Reading it waits.
    job = subprocess.Popen(
        [sys.executable, "-m", "dpnet", "train", "job.toml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with (tmp_path / "job.toml").open("w"):  # Returns once the job reads.
        job.send_signal(signal.SIGINT)
        said, errors = job.communicate(timeout=240)
    assert (job.returncode, said, errors) == (130, "", "Interrupted: Ctrl-C\n")
