"""`dpnet estimate`, from the command line to what it prints and draws."""

import json
import re
import sys

import pytest

from dpnet.cli import main as cli
from dpnet.cli.commands import estimate as command
from dpnet.comm.local import LocalGroup
from dpnet.compute import threads
from dpnet.errors import ConfigError
from dpnet.launch import flags
from dpnet.training.estimate import estimate as estimates
from dpnet.training.estimate import measure
from dpnet.training.estimate.measure import Measured
from dpnet.training.estimate.model import Network, Point
from dpnet.training.estimate.wanted import Wanted

QUICK = ["--seconds", "0.01", "--set", "model.hidden_layers=[16,16]"]


def run(capsys, *arguments):
    """The exit code, and what is printed."""
    code = cli.run(["estimate", *QUICK, *arguments])
    return code, *capsys.readouterr()


@pytest.fixture
def half_a_millisecond(monkeypatch):
    """A node takes half a millisecond for a sample."""

    def measured(setup, source, loads, seconds, ranks):
        return Measured({load: Point(load.samples, load.samples / 2000, 50e9) for load in loads}, None, [])

    monkeypatch.setattr(estimates, "measure", measured)


def test_a_table_of_80_columns_and_what_is_best(capsys, half_a_millisecond):
    code, out, _ = run(capsys, "--nodes", "1", "2", "4", "99", "--bandwidth", "25Gbit", "--latency", "2us")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("64-16-16-10 in float32, 64 samples a step, 1 rank a node, 25 Gbit/s, 2 us\n")
    rows = [line.split() for line in out.splitlines() if re.match(r"\d+ +\d", line)]
    assert [row[0] for row in rows] == ["1", "2", "4"]
    assert rows[0][1:5] == ["32", "1.00", "100%", "2,000"]
    assert rows[2][1:4] == ["8.02", "3.99", "100%"]
    assert "left out: 99 nodes: 99 ranks for 64 samples a step" in out
    assert "fastest: 4 nodes, 3.99 times one, 100% efficiency" in out
    assert "most nodes with at least 50% efficiency: 4 nodes" in out
    assert "global_batch_size = 256" in out


def test_where_the_network_takes_all_time_one_node_is_the_best(capsys, half_a_millisecond):
    code, out, _ = run(capsys, "--nodes", "1", "2", "--bandwidth", "10kbit", "--set", "train.exchange=gradients")
    assert code == 0
    assert "fastest: 1 node\n" in out
    assert "most nodes with at least 50% efficiency: 1 node\n" in out
    _, out, _ = run(capsys, "--nodes", "2", "--bandwidth", "10kbit", "--set", "train.exchange=gradients")
    assert "none of these numbers of nodes has half of the efficiency of one" in out


def test_json_has_all_of_it_in_one_line(capsys):
    code, out, _ = run(capsys, "--nodes", "2", "4", "65", "--bandwidth", "1Gbit", "--json")
    assert code == 0
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["bandwidth_bytes_s"] == 125e6
    assert found["latency_s"] == 50e-6
    assert [row["nodes"] for row in found["nodes"]] == [2, 4]
    assert list(found["left_out"]) == ["65"]
    assert {point["samples"] for point in found["measured"]} >= {64, 32, 16}
    for row in [*found["nodes"], *found["changes"].values()]:
        assert row["step_s"] == pytest.approx(row["compute_s"] + row["exchange_s"])
        assert row["efficiency"] == pytest.approx(row["speedup"] / row["nodes"])
        assert row["samples_s"] == pytest.approx(row["global_batch_size"] / row["step_s"])
        assert min(row["compute_s"], row["exchange_s"], row["memory_bytes"], row["sent_bytes"]) > 0
    local = found["changes"]["workers = 4, sync_every = 16"]
    assert local["sent_bytes"] < found["changes"]['exchange = "gradients"']["sent_bytes"] / 15


def test_a_rank_that_stands_for_all_of_its_node_has_their_threads_and_share(capsys, monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda core_sets: 6)
    monkeypatch.setattr(threads, "threads_from_user", lambda: 0)
    taken, step_s = [], measure._step_s
    monkeypatch.setattr(measure, "_step_s", lambda *given: taken.append(given) or step_s(*given))
    numpy = ["--set", "train.blas=numpy", "--set", "model.hidden_layers=[4096]"]
    code, out, _ = run(capsys, "--nodes", "1", "--ranks-per-node", "3", *numpy)
    assert code == 0
    assert "note: one rank was measured on its share of the samples and stands for 3 of a" in out
    # numpy's products of 86, 43 and 22 rows of 64 x 4096 are worth two threads, and one, and one.
    assert [setup.backend.threads for setup, *_ in taken] == [2, 1, 1]
    assert [load.samples for _, _, load, _ in taken] == [86, 43, 22]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "2"], "give --bandwidth, what a node sends while all nodes send (usual are 1Gbit, 10"),
        ([], "give --bandwidth"),
        (
            ["--nodes", "65", "--bandwidth", "1Gbit"],
            "65 nodes of 1 rank: 65 ranks for 64 samples a step; ask for",
        ),
        (["--nodes", "1", "--ranks-per-node", "2", "--set", "train.shared_memory=false"], "share no memory cannot be"),
    ],
)
def test_what_cannot_be_estimated_is_an_error(capsys, arguments, message):
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bandwidth", "25Gb"], "argument --bandwidth: '25Gb' may be bits or bytes"),
        (["--bandwidth", "0Gbit"], "argument --bandwidth: '0Gbit' must be above 0"),
        (["--latency", "soon"], "argument --latency: 'soon' is no time; write it like 2us"),
        (["--nodes", "0"], "argument --nodes: '0' is no positive integer"),
        (["--ranks-per-node", "x"], "argument --ranks-per-node: 'x' is no positive integer"),
    ],
)
def test_wrong_arguments_are_told_with_an_example(capsys, arguments, message):
    with pytest.raises(SystemExit):
        cli.run(["estimate", *arguments])
    assert message in capsys.readouterr().err


class _Group(LocalGroup):
    """A rank of several; nodes have as many ranks as `sizes` says, for each rank."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes, self.world_size = sizes, len(sizes)

    def allgather(self, value):
        return self.sizes


def test_the_ranks_of_a_node_are_those_that_were_started():
    def start(sizes, **wanted):
        return tuple(estimates._start(_Group(sizes), Wanted(**wanted)))

    assert start([1]) == (1, 1, False)
    assert start([1], ranks=8) == (1, 8, True)
    assert start([3, 3, 3], ranks=3) == (1, 3, False)
    assert start([2] * 8) == (4, 2, False)
    with pytest.raises(ConfigError, match=r"--ranks-per-node is 4, and 2 were started on each node"):
        start([2, 2, 2, 2], ranks=4)
    with pytest.raises(ConfigError, match=r"nodes with 1 to 2 ranks were started; start as many"):
        start([2, 2, 1])


def test_what_is_given_comes_before_what_was_measured():
    measured = Measured({}, Network(1e9, 1e-5), [])
    assert estimates._network(measured, Wanted()) == (1e9, 1e-5)
    assert estimates._network(measured, Wanted(bytes_s=2e9)) == (2e9, 1e-5)
    assert estimates._network(measured, Wanted(latency_s=3e-6)) == (1e9, 3e-6)
    assert estimates._network(Measured({}, None, []), Wanted(bytes_s=2e9)) == (2e9, 50e-6)
    assert estimates._network(Measured({}, None, []), Wanted(latency_s=1e-6)) is None


def test_there_are_two_banks_where_a_lost_rank_is_survived(monkeypatch):
    monkeypatch.setattr(command, "find_mpirun", lambda: "mpirun")
    for told, banks in (("mpirun (Open MPI) 5.0.8", 2), ("mpirun (Open MPI) 4.1.2", 1), ("HYDRA build", 1)):
        monkeypatch.setattr(flags, "version", lambda mpirun, told=told: told)
        assert command._banks() == banks


def test_a_picture_is_drawn_and_told_on_the_standard_error(tmp_path, capsys, half_a_millisecond):
    pytest.importorskip("matplotlib")
    out = tmp_path / "scaling.png"
    code, said, told = run(capsys, "--bandwidth", "1Gbit", "--json", "--plot", str(out))
    assert (code, json.loads(said)["fastest"] > 1) == (0, True)
    assert f"wrote {out}" in told
    assert out.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_nothing_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(command, "estimate", lambda *_: pytest.fail("measured"))
    code, _, error = run(capsys, "--bandwidth", "1Gbit", "--plot", str(tmp_path / "scaling.png"))
    assert code == 1
    assert "dpnet estimate --plot needs matplotlib: pip install 'dpnet[plot]'" in error
