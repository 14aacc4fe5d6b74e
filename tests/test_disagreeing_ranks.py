"""Ranks of one job that were given different things, and processes that only seem to be ranks."""

import os
import sys
from pathlib import Path

import pytest
from helpers.faults import wait_for
from helpers.mpirun import mpirun, run_command, start
from helpers.vendor import vendor

from dpnet.comm.lonely import Lonely
from dpnet.environment import Launched, rank_above

RANK = "${OMPI_COMM_WORLD_RANK-$PMI_RANK}"
PYTHON_RANK = "rank = int(os.environ.get('OMPI_COMM_WORLD_RANK') or os.environ['PMI_RANK'])"
SHORT = "--set train.steps=3 --set checkpoint.every_steps=0"


def on_ranks(folder: Path, script: str, *, num_ranks: int = 2, timeout_s: float = 120):
    """Run a line of shell on every rank, in a folder."""
    line = ["env", "-C", str(folder), *mpirun(num_ranks), "bash", "-c", script]
    return run_command(line, timeout_s=timeout_s, env={"DPNET": f"{sys.executable} -m dpnet", "PY": sys.executable})


@pytest.mark.ranks
@pytest.mark.parametrize(
    ("script", "parts"),
    [
        (
            f"$DPNET train --set train.seed={RANK} --output run{RANK}",
            ["--set train.seed=0 --output run0` on rank 0", "--set train.seed=1 --output run1` on rank 1"],
        ),
        (f"$DPNET $([ {RANK} = 0 ] && echo train || echo time)", ["`dpnet train` on rank 0", "`dpnet time` on rank 1"]),
        (f"mkdir -p d{RANK} && cd d{RANK} && $DPNET train", ["the current directory on", "/d0 on rank 0"]),
    ],
    ids=["sweep", "commands", "directories"],
)
def test_a_sweep_over_ranks_is_refused_with_both_commands(tmp_path, script, parts):
    code, text = on_ranks(tmp_path, script)
    assert code == 2, text
    assert text.count("ConfigError: the ranks disagree: ") == 1, text
    for part in [*parts, "For a training of its own in each rank, start it with: env -u "]:
        assert part in text
    assert not list(tmp_path.glob("**/metrics.jsonl"))


@pytest.mark.ranks
@pytest.mark.slow
def test_the_advice_works(tmp_path):
    size = "-u OMPI_COMM_WORLD_SIZE -u PMI_SIZE"
    code, text = on_ranks(tmp_path, f"env {size} $DPNET train {SHORT} --set train.seed={RANK} --output run{RANK}")
    assert code == 0, text
    assert text.count("finished after 3 steps") == 2
    assert all((tmp_path / f"run{rank}/summary.json").exists() for rank in range(2))


@pytest.mark.ranks
@pytest.mark.slow
def test_jobs_that_differ_between_ranks_are_refused_from_python_too(tmp_path):
    (tmp_path / "script.py").write_text(f"""
import os, dpnet, numpy as np
{PYTHON_RANK}
number = 10 + rank
os.makedirs(str(rank))
os.chdir(str(rank))
x, y = np.zeros((number, 3), np.float32), np.arange(number) % 2
np.savez("data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
for setting in (
    f"optimizer.learning_rate=0.{{rank + 1}}",
    f"train.epochs={{rank + 1}}",
    "train.steps=9" if rank else "train.epochs=1",
    f"train.global_batch_size={{rank + 9}}",
):
    try:
        dpnet.train(dpnet.load_job(None, [setting]))
    except dpnet.ConfigError as error:
        print(error)
dpnet.train(dpnet.load_job(None, ["data.source='data.npz'"]))
""")
    code, text = on_ranks(tmp_path, "$PY script.py")
    assert code not in (0, None), text
    for part in (
        "optimizer.learning_rate is 0.1 on rank 0 and 0.2 on rank 1",
        "train.epochs is 1 on rank 0 and 2 on rank 1",
        "train.epochs is 1 on rank 0 and not set on rank 1",
        "train.global_batch_size is 9 on rank 0 and 10 on rank 1",
    ):
        assert text.count(f"the ranks disagree: {part}") == 2, text
    part = "the training data of data.npz is 10 samples x 3 on rank 0 and 11 samples x 3 on"
    assert f"dpnet.errors.ConfigError: the ranks disagree: {part}" in text


@pytest.mark.ranks
@pytest.mark.slow
def test_inference_on_different_data_is_refused(tmp_path):
    (tmp_path / "script.py").write_text(f"""
import os, dpnet
{PYTHON_RANK}
group = dpnet.connect()
dpnet.train(dpnet.load_job(None, ["train.steps=2"]), group)
network = dpnet.load_network("runs/digits", group)
for call in (
    lambda: dpnet.evaluate(network, "digits", group, split=["train", "test"][rank]),
    lambda: dpnet.predict(network, "digits", f"out{{rank}}.npy", group),
    lambda: dpnet.predict(network, "digits", "out.npy", group, nonfinite=["skip", "nan"][rank]),
    lambda: dpnet.load_network(f"runs/{{rank}}", group),
    lambda: dpnet.evaluate(network, "digits", group) if rank else dpnet.load_network("runs/digits", group),
):
    try:
        call()
    except dpnet.ConfigError as error:
        print(error)
""")
    code, text = on_ranks(tmp_path, "$PY script.py")
    assert code == 0, text
    assert text.count("the ranks disagree") == 10
    for part in (
        "the split is train on rank 0 and test on rank 1",
        "the output is out0.npy on rank 0",
        "nonfinite is skip on rank 0 and nan on rank 1",
        "the path is runs/0",
        "the call is dpnet.load_network on rank 0 and dpnet.evaluate on rank 1",
    ):
        assert text.count(part) == 2


@pytest.mark.ranks
@pytest.mark.slow
def test_arguments_that_only_one_rank_cannot_read_are_told(tmp_path):
    code, text = on_ranks(tmp_path, f"$DPNET train $([ {RANK} = 1 ] && echo --no-such-option)")
    assert code == 2, text
    assert text.count("`dpnet train` on rank 0 and `dpnet train --no-such-option` on rank 1") == 1


# --- processes that are no ranks ---


@pytest.mark.ranks
@pytest.mark.slow
def test_a_training_started_by_a_rank_that_uses_mpi_is_told_how_to_start(tmp_path):
    (tmp_path / "sweep.py").write_text(f"""
import os, subprocess, sys
from mpi4py import MPI
{PYTHON_RANK}
line = [sys.executable, "-m", "dpnet", "train", "--output", f"run{{rank}}"]
result = subprocess.run(line, capture_output=True, text=True)
MPI.COMM_WORLD.Barrier()
os.write(1, f"{{result.returncode}} {{result.stderr}}\\n".encode())  # In one piece: both ranks print here.
own = {{name: value for name, value in os.environ.items() if name not in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")}}
line = [sys.executable, "-m", "dpnet", "train", "--output", f"own{{rank}}", *"{SHORT}".split()]
result = subprocess.run(line, env=own, capture_output=True, text=True)
os.write(1, f"{{result.stdout}} {{result.stderr}}\\n".encode())
""")
    code, text = on_ranks(tmp_path, "$PY sweep.py")
    assert code == 0, text
    assert text.count("1 CommunicationError: this process has inherited ") == 2, text
    assert text.count("For a training of its own in each rank, start it with: env -u ") == 2
    assert text.count("finished after 3 steps") == 2


@pytest.mark.ranks
@pytest.mark.slow
def test_a_rank_whose_others_never_come_says_so():
    code = "import dpnet.comm.lonely as l; l.NOTE_AFTER_S = 1; import dpnet; dpnet.connect()"
    script = f"if [ {RANK} = 0 ]; then sleep 300; else {sys.executable} -c '{code}'; fi"
    job = start([*mpirun(2), "bash", "-c", script])
    try:
        told = "has waited 1 s for the others to start dpnet. For a training of its own in each rank"
        assert wait_for(lambda: told in job.read()), job.read()
        assert "note: rank 1 of 2 on " in job.read()
    finally:
        job.close()


def test_a_rank_that_connects_says_nothing(capfd):
    waiting = Lonely(Launched(0, 2, 2, "PMI_SIZE"))
    with waiting:
        pass
    assert waiting._process.returncode is not None
    assert capfd.readouterr() == ("", "")


def test_a_wrapper_without_mpi_starts_ranks(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "2")
    assert rank_above(os.environ) is None


@pytest.mark.ranks
@pytest.mark.skipif(vendor() != "MPICH", reason="only MPICH hands a descriptor to its ranks")
def test_a_training_without_its_ranks_connection_to_mpich_is_told_how_to_start(tmp_path):
    # Python's subprocess closes the descriptor.
    code = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-m', 'dpnet', 'train']).returncode)"
    status, text = on_ranks(tmp_path, f'$PY -c "{code}"')
    assert status == 1, text
    assert "CommunicationError: this process has inherited PMI_SIZE=2, but not the connection of its rank" in text
    assert "start it with: env -u PMI_SIZE dpnet" in text
