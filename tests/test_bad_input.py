"""Bad input ends all ranks with exit code 1 or 2 and one message, printed once, that names the file and the place."""

import gzip
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.mpirun import mpirun, run_command
from helpers.turns import Turns

RANKS = 3
pytestmark = [pytest.mark.ranks, pytest.mark.slow]
TURNS = Turns()


@pytest.fixture(scope="module", autouse=True)
def _turns():
    with TURNS:
        yield


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Run directories go to ./runs.


def samples(count, features=4, classes=3):
    generator = np.random.default_rng(count)
    return generator.standard_normal((count, features)).astype(np.float32), np.arange(count) % classes


def save(path: Path, **changes):
    """An .npz that can be trained on, except for the changes."""
    (x_train, y_train), (x_test, y_test) = samples(60), samples(20)
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def with_value(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def dpnet(*arguments):
    return of_dpnet(*TURNS.run(RANKS, [*map(str, arguments)]))


def dpnet_of_its_own(*arguments):
    """As dpnet, on ranks that are started for this."""
    command = [*mpirun(RANKS), sys.executable, "-m", "dpnet", *map(str, arguments)]
    return of_dpnet(*run_command(command, timeout_s=60))


def of_dpnet(code, text):
    # mpirun adds lines about the exit code, which are not dpnet's.
    ours = [line for line in text.splitlines() if "Error: " in line or line.startswith("Traceback")]
    return code, ours, text


def refused(arguments, *, code, kind, parts, run=dpnet):
    seen, ours, text = run(*arguments)
    assert seen == code, text
    assert len(ours) == 1, text
    assert ours[0].startswith(f"{kind}: "), text
    for part in parts:
        assert str(part) in text, text
    assert "Traceback" not in text


def train(path, *rest):
    return ["train", "--set", f"data.source={path}", "--set", "train.epochs=1", *rest]


def test_missing_data(tmp_path):
    for run in (dpnet, dpnet_of_its_own):
        parts = [tmp_path / "none.npz", "not found"]
        refused(train(tmp_path / "none.npz"), code=1, kind="DataError", parts=parts, run=run)


def test_labels_and_inputs_of_different_length(tmp_path):
    path = save(tmp_path / "data.npz", y_train=np.arange(59) % 3)
    refused(train(path), code=1, kind="DataError", parts=[path, "59", "60"])


def test_test_data_of_another_width(tmp_path):
    path = save(tmp_path / "data.npz", x_test=samples(20, features=5)[0])
    refused(train(path), code=1, kind="DataError", parts=[path, "5 features", "4"])


@pytest.mark.parametrize("label", [np.nan, 0.5])
def test_a_label_that_is_missing_or_no_class(tmp_path, label):
    path = save(tmp_path / "data.npz", y_train=with_value(samples(60)[1].astype(float), 17, label))
    refused(train(path), code=1, kind="DataError", parts=[path, "row 17", str(label)])


def test_a_test_label_that_no_training_sample_has(tmp_path):
    path = save(tmp_path / "data.npz", y_test=with_value(samples(20)[1], 7, 10**9))
    refused(train(path), code=1, kind="DataError", parts=[path, "row 7", "1000000000", "data.unknown_labels"])


@pytest.mark.parametrize("row", [0, 31, 59])  # In the share of the first, of a middle, of the last rank.
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite(tmp_path, row, value):
    path = save(tmp_path / "data.npz", x_train=with_value(samples(60)[0], (row, 2), value))
    refused(train(path), code=1, kind="DataError", parts=[path, f"row {row}"])


def test_a_value_in_the_test_data_that_is_not_finite(tmp_path):
    path = save(tmp_path / "data.npz", x_test=with_value(samples(20)[0], (7, 2), np.nan))
    refused(train(path), code=1, kind="DataError", parts=[path, "row 7"])


def test_a_value_that_float32_cannot_hold(tmp_path):
    path = save(tmp_path / "data.npz", x_test=with_value(samples(20)[0].astype(np.float64), (13, 2), 1e300))
    refused(train(path), code=1, kind="DataError", parts=[path, "row 13, column 2", "too large for float32"])


@pytest.mark.parametrize("row", [0, 11, 19])  # In the share of the first, of a middle, of the last rank.
def test_a_sample_without_an_answer_is_named_by_its_row_in_the_file(trained, tmp_path, row):
    command = without_answer(tmp_path, row)
    for name, rest in (("evaluate", []), ("predict", ["--out", tmp_path / "out.csv"])):
        parts = [tmp_path / "new.npz", f"row {row}, column 1", "--nonfinite=skip"]
        refused([name, trained / "run", *command, *rest], code=1, kind="DataError", parts=parts)
    assert not (tmp_path / "out.csv").exists()


def test_a_sample_without_an_answer_is_left_out_or_marked_if_asked_for(trained, tmp_path):
    command = without_answer(tmp_path, 11)
    code, _, text = dpnet("evaluate", trained / "run", *command, "--nonfinite=skip")
    assert code == 0, text
    assert "note: 1 of 20 rows left out, not finite: row 11 (from 0)" in text
    code, _, text = dpnet("predict", trained / "run", *command, "--nonfinite=nan", "--out", tmp_path / "out.csv")
    assert code == 0, text
    labels = [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert [number for number, label in enumerate(labels) if label == "-1"] == [11]


def without_answer(folder, row):
    """Options of a command on 20 samples, one of which has a NaN."""
    x, y = samples(20)
    np.savez(folder / "new.npz", x=with_value(x, (row, 1), np.nan), y=y)
    return ["--data", folder / "new.npz", "--batch-size", "4"]


def test_a_truncated_gzip_file(tmp_path):
    for name, count in (("train", 20), ("t10k", 10)):
        images = bytes([0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(range(4 * count))
        labels = bytes([0, 0, 8, 1, 0, 0, 0, count]) + bytes(index % 3 for index in range(count))
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    damaged = tmp_path / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    refused(train(tmp_path), code=1, kind="DataError", parts=[damaged])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory with one training of two epochs in it."""
    folder = tmp_path_factory.mktemp("trained")
    path = save(folder / "data.npz")
    code, _, text = dpnet(*train(path, "--output", folder / "run", "--set", "train.epochs=2"))
    assert code == 0, text
    return folder


def copy_of(trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run", symlinks=True)
    return tmp_path / "run"


def damage(path: Path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "manifest.json"])
def test_a_damaged_checkpoint(trained, tmp_path, name):
    path = copy_of(trained, tmp_path) / "checkpoints/latest" / name
    damage(path)
    refused(
        ["evaluate", path.parent, "--data", trained / "data.npz"],
        code=1,
        kind="CheckpointError",
        parts=[path.name, "damaged"],
    )


def test_a_missing_checkpoint(tmp_path):
    refused(["digest", tmp_path], code=1, kind="CheckpointError", parts=[tmp_path, "no checkpoint"])


def test_a_run_whose_checkpoints_are_all_damaged(trained, tmp_path):
    run = copy_of(trained, tmp_path)
    for path in run.glob("checkpoints/step-*/model.safetensors"):
        damage(path)
    seen, ours, text = dpnet(*train(trained / "data.npz", "--output", run, "--set", "train.epochs=3"))
    assert seen == 1
    assert "none of the" in ours[-1], text
    assert "--resume never" in text


def test_a_checkpoint_of_another_network(trained):
    refused(
        train(trained / "data.npz", "--output", trained / "run", "--set", "model.hidden_layers=[7]"),
        code=1,
        kind="CheckpointError",
        parts=["model.hidden_layers is [7]", "[256, 128]"],
    )


def test_a_checkpoint_of_other_data(trained, tmp_path):
    path = save(tmp_path / "data.npz", x_train=samples(60)[0] + 1)
    refused(
        train(path, "--output", trained / "run", "--set", "train.epochs=2"),
        code=1,
        kind="CheckpointError",
        parts=["the training features have other values than in the run", "--output DIR"],
    )


def test_data_of_another_width_for_a_trained_network(trained, tmp_path):
    np.save(tmp_path / "x.npy", samples(9, features=5)[0])
    refused(
        ["predict", trained / "run", "--data", tmp_path / "x.npy", "--out", tmp_path / "y.npy"],
        code=1,
        kind="DataError",
        parts=[tmp_path / "x.npy", "5 features", "4"],
    )
    assert not (tmp_path / "y.npy").exists()


def test_labels_that_the_trained_network_does_not_know(trained, tmp_path):
    path = save(tmp_path / "data.npz", y_test=with_value(samples(20)[1], 3, 8))
    refused(["evaluate", trained / "run", "--data", path], code=1, kind="DataError", parts=[path, "row 3", "8"])


def test_an_unknown_ending_of_the_output(trained, tmp_path):
    refused(
        ["predict", trained / "run", "--data", trained / "data.npz", "--out", tmp_path / "y.xls"],
        code=2,
        kind="ConfigError",
        parts=["y.xls", ".npy", ".csv"],
    )


def test_more_ranks_than_reproducible_shards(tmp_path):
    refused(
        train(save(tmp_path / "data.npz"), "--set", "train.reproducible_shards=2"),
        code=2,
        kind="ConfigError",
        parts=["train.reproducible_shards is 2", "3 ranks"],
    )


def test_more_ranks_than_workers(tmp_path):
    refused(
        train(save(tmp_path / "data.npz"), "--set", "train.workers=2"),
        code=2,
        kind="ConfigError",
        parts=["train.workers is 2", "3 ranks", "start at most 2 ranks"],
    )


def test_a_wrong_setting(tmp_path):
    (tmp_path / "job.toml").write_text("[train]\nbatch_size = 4\n")
    refused(
        ["train", tmp_path / "job.toml"],
        code=2,
        kind="ConfigError",
        parts=["job.toml line 2", "train.batch_size", "train.global_batch_size"],
    )


def test_a_wrong_argument_is_told_once():
    code, _, text = dpnet_of_its_own("train", "--no-such-option")
    assert code == 2
    assert text.count("--no-such-option") == 1


def test_the_version_is_told_once():
    code, _, text = dpnet_of_its_own("--version")
    assert code == 0
    assert text.count("dpnet") == 1


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("here first")
    refused(
        train(save(tmp_path / "data.npz"), "--output", tmp_path / "file/run"),
        code=1,
        kind="OutputError",
        parts=[tmp_path / "file/run", "--output"],
    )
    assert (tmp_path / "file").read_text() == "here first"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_permission(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(
        train(save(tmp_path / "data.npz"), "--output", tmp_path / "locked/run"),
        code=1,
        kind="OutputError",
        parts=["Permission denied", "--output"],
    )


def test_a_full_disk_under_the_learning_curve(tmp_path):
    # /dev/full answers every write with "no space left on device". The job finds out only when it writes a row.
    output = tmp_path / "run"
    script = tmp_path / "full.py"
    script.write_text(
        "import sys\n"
        "from dpnet.training import reporting\n"
        "from dpnet.cli.main import run\n"
        "class Full(reporting.MetricsFile):\n"
        "    def __init__(self, path, *, step):\n"
        "        super().__init__(path, step=step)\n"
        "        self._file = open('/dev/full', 'a')\n"
        "reporting.MetricsFile = Full\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    command = [
        *mpirun(RANKS),
        sys.executable,
        str(script),
        *train(save(tmp_path / "data.npz"), "--output", str(output)),
    ]
    code, text = run_command(command, timeout_s=60)
    assert code == 1, text
    assert text.count("OutputError: ") == 1, text
    assert "No space left on device" in text


def test_a_full_disk_under_the_checkpoints(tmp_path):
    # A limit on the size of files, set once MPI has started, stands in for the full disk: that needs no root.
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, sys\n"
        "from dpnet.checkpoint import background\n"
        "from dpnet.training.loop import Loop\n"
        "from dpnet.cli.main import run\n"
        "background.PAUSE_S = 0.1\n"
        "open_loop = Loop.open\n"
        "def limited(self, **named):\n"
        "    open_loop(self, **named)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "Loop.open = limited\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    output = tmp_path / "run"
    data = save(tmp_path / "data.npz")
    code, text = run_command(
        [*mpirun(RANKS), sys.executable, str(script), *map(str, train(data, "--output", output))], timeout_s=60
    )
    assert code == 1, text
    assert text.count("OutputError: ") == 1, text
    assert text.count(f"note: cannot write checkpoint {output}") == 2, text
    assert text.count("trying again") == 2, text
    assert "OutputError: 3 checkpoints in a row could not be written: cannot write checkpoint" in text
    assert "File too large" in text
    assert not list((output / "checkpoints").iterdir())
