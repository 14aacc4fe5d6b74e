"""Two hosts with a network of their own: what travels between them is what was told, and no kill changes a bit."""

import json
import os
import random
import signal
import sys
import time

import pytest
from helpers.faults import summary, train_arguments
from helpers.hosts import HEAD, LAUNCH, Hosts, obstacle
from helpers.mpirun import mpirun, run_command, start
from helpers.night import at_night, times

from dpnet.output.metrics_file import last_step

pytestmark = [pytest.mark.ranks, pytest.mark.slow, pytest.mark.timeout(600)]
SEEDS = range(times("DPNET_TEST_EXCHANGE", day=1, night=20))
CASES = [("gradients", "relu"), ("factors", "relu"), ("factors", "tanh"), ("recompute", "relu")]
MEASURE = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from dpnet.comm.connect import connect
from dpnet.compute.backend import plain_backend
from dpnet.config.file import from_dict
from dpnet.data.scaling import UNSCALED
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.training.build import build_parts
from dpnet.training.prepare import prepare

def counted():
    folder = Path("/sys/class/net/eth0/statistics")
    return sum(int((folder / name).read_text()) for name in ("tx_bytes", "rx_bytes")) / 2

cases, steps, output = json.loads(sys.argv[1])
group, seen = connect(), []
inputs = np.random.default_rng(0).standard_normal((512, 784), np.float32)
source = DataSource("random", make_split(inputs, np.arange(512) % 10, "x", "y"), None)
for exchange, activation in cases:
    model = {"hidden_layers": [512, 512], "activation": activation}
    train = {"steps": steps, "global_batch_size": 128, "exchange": exchange, "threads": 1}
    job = from_dict({"model": model, "train": train}, where="test")
    parts = build_parts(prepare(job, group, source, backend=plain_backend(), scaling=UNSCALED), source)
    parts.trainer.step(0)  # The first one opens connections.
    sent_before = getattr(parts.trainer.exchange, "bytes_sent", 0)
    group.barrier()
    before = counted()
    group.barrier()
    for step in range(1, steps + 1):
        parts.trainer.step(step)
    group.barrier()
    counters = (counted() - before) / steps
    sent = (getattr(parts.trainer.exchange, "bytes_sent", 0) - sent_before) / steps
    digest = hashlib.sha256(np.array(parts.state.params).tobytes()).hexdigest()
    seen.append([counters, parts.exchange.cost.bytes, sent, digest])
(Path(output) / f"{group.rank}.json").write_text(json.dumps(seen))
"""
JOB = """
[model]
hidden_layers = [64, 32]
[train]
epochs = 15
global_batch_size = 100
exchange = "{exchange}"
reducer = "joint"
[checkpoint]
every_steps = 20
[output]
log_every_steps = 7
"""


def on_both(hosts, program):
    """The command line of what starts a rank on each of both hosts, and its variables."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return hosts.on(HEAD, [*program, *hosts.mpirun()[1:]]), {"PATH": path}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    mpirun(1)
    if why := obstacle():
        pytest.skip(why)
    with Hosts(tmp_path_factory.mktemp("hosts"), 2) as made:
        yield made


@pytest.fixture(scope="module")
def measured(hosts, tmp_path_factory):
    """For every case, bytes of a step on host 1: what its interface counted, what was told, what was sent; a digest."""
    folder = tmp_path_factory.mktemp("measured")
    start_line, env = on_both(hosts, mpirun(1)[:1])
    line = [*start_line, sys.executable, "-c", MEASURE, json.dumps([CASES, 6, str(folder)])]
    code, text = run_command(line, timeout_s=120, env=env)
    assert code == 0, text
    both = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    assert [row[3] for row in both[0]] == [row[3] for row in both[1]]
    return dict(zip(CASES, both[0], strict=True))


@pytest.mark.parametrize("case", CASES)
def test_interfaces_count_what_was_told(measured, case):
    counted, told, sent, _ = measured[case]
    is_sparse = case == ("factors", "relu")
    expected = sent if is_sparse else told
    assert expected <= 1.01 * counted
    assert counted <= 1.05 * expected + 2000
    if is_sparse:
        assert 0.8 * told < sent < 1.05 * told


def test_all_ways_have_the_same_bits(measured):
    digests = {case: measured[case][3] for case in CASES}
    assert len({digest for (_, activation), digest in digests.items() if activation == "relu"}) == 1


def trained(hosts, folder, setting, disturb=None, *, restarts=None):
    """The digest of a training on both hosts, which something may disturb, so that it `restarts` or does not."""
    job, output = folder / f"{setting}.toml", folder / setting
    job.write_text(JOB.format(exchange=setting))
    launch, env = on_both(hosts, [sys.executable, "-c", LAUNCH, "launch", "--no-ft", "--max-restarts", "3"])
    hang = ("resilience.timeout_s=5", "resilience.on_hang=end")
    started = start([*launch, "--", *train_arguments(job, output, *hang)], env=env)
    try:
        if disturb is not None:
            at_step, deed = disturb
            assert started.reaches(lambda: last_step(output / "metrics.jsonl") >= at_step, 60), started.read()
            deed(started)
        assert started.wait(150) == 0, started.read()
        told = "gradients" if setting == "gradients" else "factors"
        assert f"between nodes: {told}" in started.read()
        assert restarts is None or ("attempt 2" in started.read()) == restarts
    finally:
        started.close()
    return summary(output)["digest"]


@pytest.fixture(scope="module")
def undisturbed(hosts, tmp_path_factory):
    return trained(hosts, tmp_path_factory.mktemp("undisturbed"), "gradients")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exchange", ["factors", "recompute"])
def test_a_training_that_is_killed_and_restarted_has_the_bits_of_an_undisturbed_one(
    hosts, undisturbed, tmp_path, exchange, seed
):
    def kill(_):
        for pid in hosts.pids(hosts.names[1]):
            os.kill(pid, signal.SIGKILL)

    disturb = random.Random(seed).randint(10, 150), kill
    assert trained(hosts, tmp_path, exchange, disturb) == undisturbed


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exchange", ["factors", at_night("recompute")])
@pytest.mark.parametrize("cut_s", [2, at_night(None)])
def test_so_has_one_whose_cable_was_cut(hosts, undisturbed, tmp_path, exchange, cut_s, seed):
    """For some seconds, which the network makes up for; or until the job was ended, and is started again."""

    def cut(started):
        hosts.cut(hosts.names[1])
        try:
            if cut_s is None:
                # Mended before the launcher asks which hosts answer: on fewer, gradients would round otherwise.
                assert started.reaches(lambda: not hosts.pids(hosts.names[0]), 60), started.read()
            else:
                time.sleep(cut_s)
        finally:
            hosts.mend(hosts.names[1])

    disturb = random.Random(seed).randint(10, 150), cut
    assert trained(hosts, tmp_path, exchange, disturb, restarts=cut_s is None) == undisturbed
