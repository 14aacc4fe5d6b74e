"""Hosts that see other data, run other versions or compute other bits are refused, or told where that is harmless."""

import importlib.util
import sys
import time

import numpy as np
import pytest
from helpers.hosts import HEAD, Hosts, obstacle
from helpers.mpirun import mpirun, run_command
from helpers.patience import PATIENCE

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
SOON_S = 10
"""Seconds within which hosts that do not fit together are refused."""
SHORT = ["--set", "train.steps=3", "--set", "checkpoint.every_steps=3", "--set", "model.hidden_layers=[8]"]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    mpirun(1)
    if why := obstacle():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("hosts")
    with Hosts(folder, 2) as made:
        on_hosts(made, folder, "train", *SHORT)  # Compiles what is compiled once.
        yield made


def on_hosts(hosts, folder, *arguments, ranks_each=1, env=None):
    """Run dpnet on both hosts; returns its exit code and its output. A refusal has to come soon."""
    line = hosts.on(
        HEAD, ["env", "-C", str(folder), *hosts.mpirun(ranks_each), sys.executable, "-m", "dpnet", *arguments]
    )
    begin_s = time.monotonic()
    code, text = run_command(line, timeout_s=60, env=env)
    assert code == 0 or time.monotonic() - begin_s < PATIENCE * SOON_S, text
    return code, text


def train(hosts, folder, source, *more, **named):
    return on_hosts(hosts, folder, "train", *SHORT, "--set", f"data.source={source}", *more, **named)


# --- data ---


def arrays(rows=4000):
    chance = np.random.default_rng(3)
    x, y = chance.integers(0, 256, (rows, 20)).astype(np.uint8), np.arange(rows) % 5
    return {"x_train": x, "y_train": y, "x_test": x[:50].copy(), "y_test": y[:50].copy()}


def save_npz(path, values):
    np.savez(path.with_suffix(".npz"), **values)
    return path.with_suffix(".npz")


def save_npy(path, values):
    path.mkdir()
    for name, array in values.items():
        np.save(path / f"{name}.npy", array)
    return path


def save_idx(path, values):
    path.mkdir()
    for split, prefix in (("train", "train"), ("test", "t10k")):
        for kind, name in (("x", "images-idx2"), ("y", "labels-idx1")):
            array = values[f"{kind}_{split}"].astype(np.uint8)
            sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            (path / f"{prefix}-{name}-ubyte").write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())
    return path


def save_csv(path, values):
    names = ",".join([*(f"a{column}" for column in range(20)), "kind"])
    rows = np.column_stack([values["x_train"], values["y_train"]])
    np.savetxt(path.with_suffix(".csv"), rows, "%d", ",", header=names, comments="")
    return path.with_suffix(".csv")


def other_pixel(values):
    values["x_train"][1234, 7] += 1


def other_label(values):
    values["y_test"][3] = 0


def other_order(values):
    for name in ("x_train", "y_train"):
        values[name][[10, 20]] = values[name][[20, 10]]


def fewer_rows(values):
    for name in ("x_train", "y_train"):
        values[name] = values[name][:-800]


DIFFERENCES = [
    (save_npz, other_pixel, "the content of the training features"),
    (save_npz, fewer_rows, "4,000 samples x 20 on node1 and 3,200 samples x 20 on node2"),
    (save_npy, other_label, "the content of the test labels"),
    (save_idx, other_order, "the content of the training features"),
    (save_csv, other_pixel, "the content of the training features"),
]


@pytest.mark.parametrize(("save", "change", "told"), DIFFERENCES, ids=lambda one: getattr(one, "__name__", ""))
def test_data_that_differ_between_hosts_are_refused(hosts, tmp_path, save, change, told):
    if save is save_csv and importlib.util.find_spec("pyarrow") is None:
        pytest.skip("there is no pyarrow")
    values = arrays()
    here = save(tmp_path / "data", values)
    change(values)
    (tmp_path / "there").mkdir()
    with hosts.put("node2", save(tmp_path / "there/data", values), here):
        code, text = train(
            hosts, tmp_path, here, "--set", "data.target=kind" if save is save_csv else "data.check=true"
        )
    assert code in (1, 2), text
    assert told in text
    assert "on node1 and" in text
    assert "node2" in text
    assert not (tmp_path / "runs").exists()


def test_the_same_data_in_two_places_are_one_and_others_are_not_evaluated(hosts, tmp_path):
    values = arrays()
    here, there = save_npz(tmp_path / "data", values), save_npz(tmp_path / "copy", values)
    with hosts.put("node2", there, here):
        code, text = train(hosts, tmp_path, here, ranks_each=2)
        assert code == 0, text
        assert "note: hosts differ" not in text
    assert not list(tmp_path.glob("runs/data/.mark*"))
    values["y_test"][3] = 0
    with hosts.put("node2", save_npz(tmp_path / "other", values), there):
        code, text = on_hosts(hosts, tmp_path, "evaluate", "runs/data", "--data", str(there))
    assert code == 1, text
    assert "DataError: the hosts see other data in " in text


# --- what is installed, and what bits depend on ---


OTHER_KERNEL = "import os; os.environ['OPENBLAS_CORETYPE'] = 'Nehalem'"


def test_another_dpnet_on_a_host_is_refused(hosts, tmp_path):
    with hosts.at_start("node2", tmp_path, "import dpnet.about; dpnet.about.__version__ = '9.9'") as env:
        code, text = on_hosts(hosts, tmp_path, "train", *SHORT, env=env)
    assert code == 2, text
    assert "on node1 and 9.9 on node2; install the same version on every host: pip install dpnet==" in text


def test_another_numpy_or_other_kernels_are_told(hosts, tmp_path):
    program = f"{OTHER_KERNEL}; import numpy; numpy.__version__ = '0.9'"
    with hosts.at_start("node2", tmp_path, program) as env:
        code, text = on_hosts(hosts, tmp_path, "train", *SHORT, env=env)
    assert code == 0, text
    assert f"note: hosts differ: numpy is {np.__version__} on node1 and 0.9 on node2" in text
    assert "Nehalem" in text


def test_other_kernels_are_refused_where_bits_must_not_depend_on_hosts(hosts, tmp_path):
    with hosts.at_start("node2", tmp_path, OTHER_KERNEL) as env:
        code, text = on_hosts(hosts, tmp_path, "train", *SHORT, "--set", "train.reproducible_shards=2", env=env)
    assert code == 2, text
    assert "ConfigError: train.reproducible_shards or train.workers asks for bits that do not depend on hosts" in text
    assert "Nehalem, pthreads, 1 thread) on node2" in text


# --- the run directory ---


def test_a_run_directory_that_is_not_shared_is_refused(hosts, tmp_path):
    for name in ("runs", "private"):
        (tmp_path / name).mkdir()
    with hosts.put("node2", tmp_path / "private", tmp_path / "runs"):
        code, text = on_hosts(hosts, tmp_path, "train", *SHORT)
        assert code == 1, text
        assert f"OutputError: the run directory {tmp_path}/runs/digits is not shared: node2 cannot see what" in text
        assert not list(tmp_path.glob("*/digits/metrics.jsonl"))
        assert not list(tmp_path.glob("*/digits/.mark*"))
        code, text = on_hosts(hosts, tmp_path, "train", *SHORT, "--set", "output.shared=false")
        assert code == 0, text
