"""Checks of the doctor, as functions of what ranks see: each mistake is a fault with a fix, and nothing else is."""

import dataclasses
import json

import pytest

from dpnet.comm import library
from dpnet.comm.library import Loaded
from dpnet.launch.doctor import disk, hosts, links, memory, products, ranks
from dpnet.launch.doctor.disk import Disk, check_disk
from dpnet.launch.doctor.examine import OF_FACTS
from dpnet.launch.doctor.facts import Facts, _allocated
from dpnet.launch.doctor.finding import Finding, fault, ok, table, warning, worst
from dpnet.launch.doctor.links import Link, check_links, rounds
from dpnet.launch.doctor.mpi import check_launchers, check_library, family
from dpnet.launch.doctor.products import Measured, check_products, measure

GIB = 2**30
FACTS = Facts(
    host="a",
    cores=frozenset(range(8)),
    num_cores=8,
    quota=None,
    threads=0,
    busy=0.02,
    library="Open MPI v5.0.11",
    versions={"dpnet": "1", "numpy": "2.4", "numba": "0.6", "mkl": "missing"},
    blas="openblas (Zen)",
    products="numpy",
    processor="AuthenticAMD avx2",
    memory=64 * GIB,
    shared=32 * GIB,
    cache="",
)


def seen(*changes, number=2):
    """What ranks see: one for each dictionary of changes, or so many that see nothing odd."""
    return [dataclasses.replace(FACTS, **change) for change in changes or [{}] * number]


@pytest.mark.parametrize("check", OF_FACTS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "what", [seen(), seen({}, {"host": "b"}), seen(number=8), seen({"threads": 4}, {"threads": 4})]
)
def test_what_is_ordinary_is_no_fault(check, what):
    assert [finding.verdict for finding in check(what)] == ["ok"]
    assert not any(finding.fix for finding in check(what))


ON_0, ON_1 = {"cores": frozenset([0])}, {"cores": frozenset([1])}
MISTAKES = {
    "two ranks on one core": (ranks.check_binding, seen(ON_0, ON_0), "fault", "2 ranks on a share 1 core (0)"),
    "two of three ranks on one core": (ranks.check_binding, seen(ON_0, ON_1, ON_0), "fault", "share 1 core (0)"),
    "two bound, one not": (ranks.check_binding, seen(ON_0, {}, ON_0), "fault", "2 ranks on a share 1 core"),
    "more ranks than cores": (ranks.check_binding, seen(number=9), "fault", "9 ranks on a share 8 cores"),
    "a quota below the ranks": (ranks.check_quota, seen({"quota": 1.5}, {"quota": 1.5}), "fault", "quota of 1.5 cores"),
    "threads": (ranks.check_threads, seen({"threads": 16}), "fault", "1 rank of 16 threads on 8 cores of a"),
    "threads of all": (ranks.check_threads, seen(*[{"threads": 4}] * 3), "fault", "3 ranks of 4 threads on 8 cores"),
    "busy": (ranks.check_load, seen({"busy": 0.9}, {"busy": 0.7}), "fault", "other programs use 80% of the cores of a"),
    "somewhat busy": (ranks.check_load, seen({"busy": 0.45}), "warning", "use 45% of the cores"),
    "an idle host": (ranks.check_ranks, seen({"nodes_allocated": 3}), "fault", "2 hosts of the 3 that were allocated"),
    "uneven": (ranks.check_ranks, seen({}, {}, {"host": "b"}), "warning", "3 ranks: 2 on a, 1 on b"),
    "another numpy": (
        hosts.check_versions,
        seen({}, {"host": "b", "versions": {**FACTS.versions, "numpy": "2.3"}}),
        "fault",
        "numpy is 2.4 on a and 2.3 on b",
    ),
    "another MPI": (hosts.check_versions, seen({}, {"host": "b", "library": "MPICH"}), "fault", "and MPICH on b"),
    "another mkl": (
        hosts.check_versions,
        seen({}, {"host": "b", "versions": {**FACTS.versions, "mkl": "1"}}),
        "warning",
        "mkl is missing on a and 1 on b",
    ),
    "another processor": (
        hosts.check_processors,
        seen({}, {"host": "b", "blas": "openblas (SkylakeX)"}),
        "warning",
        "Zen",
    ),
    "little memory": (memory.check_memory, seen({"memory": 2**20}), "fault", "1 MiB are free on a"),
    "little shared memory": (memory.check_shared_memory, seen({"shared": 2**26}), "fault", "64 MiB are free on a"),
    "no shared memory": (memory.check_shared_memory, seen({"shared": None}), "fault", "there is none on a"),
}


@pytest.mark.parametrize(("check", "what", "verdict", "part"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_with_a_fix(check, what, verdict, part):
    (finding,) = check(what)
    assert (finding.verdict, bool(finding.fix)) == (verdict, True)
    assert part in finding.seen


def test_the_hosts_that_are_wrong_are_named_and_no_others():
    found = memory.check_shared_memory(seen({}, {"host": "b", "shared": 1}, {"host": "c", "shared": 2}))
    assert [finding.seen.split()[-1] for finding in found] == ["b", "c"]


def test_more_ranks_than_cores_are_told_to_be_fewer_and_bound_ones_to_be_free():
    assert ranks.check_binding(seen(number=9))[0].fix == "start 8 ranks in the place of 9"
    assert "--bind-to none" in ranks.check_binding(seen(ON_0, ON_0))[0].fix


def test_the_hosts_of_a_job_are_counted_by_slurm_and_by_pbs(tmp_path, monkeypatch):
    for name in ("SLURM_JOB_NUM_NODES", "PBS_NODEFILE"):
        monkeypatch.delenv(name, raising=False)
    assert _allocated() is None
    (tmp_path / "nodes").write_text("a\na\nb\n")
    monkeypatch.setenv("PBS_NODEFILE", str(tmp_path / "nodes"))
    assert _allocated() == 2
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "3")
    assert _allocated() == 3


# --- MPI ---

OPEN_MPI = Loaded("Open MPI v5.0.11", "/lib/libmpi.so")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mpirun (Open MPI) 5.0.11", "Open MPI"),
        ("prterun (OpenRTE) 3", "Open MPI"),
        ("HYDRA build details:\n    Version: 5.0.2", "MPICH"),
        ("MPICH Version: 5.0.2", "MPICH"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.18", "Intel MPI"),
        ("bash: cannot run", ""),
    ],
)
def test_libraries_and_launchers_are_of_a_family(text, name):
    assert family(text) == name


def test_a_launcher_of_another_library_is_a_fault_and_one_that_does_not_run_is_told():
    (finding,) = check_launchers(OPEN_MPI, {"/a/mpirun": "mpirun (Open MPI) 5", "/b/mpirun": "HYDRA build details"})
    assert finding.verdict == "fault"
    assert finding.seen == "/b/mpirun is that of MPICH, and mpi4py loads Open MPI"
    assert [one.verdict for one in check_launchers(OPEN_MPI, {"/a/mpirun": "mpirun (Open MPI) 4"})] == ["ok"]
    assert [one.verdict for one in check_launchers(OPEN_MPI, {"/a/mpirun": "cannot run it"})] == ["warning"]
    assert [one.verdict for one in check_launchers(OPEN_MPI, {})] == ["warning"]


def test_a_library_that_cannot_be_loaded_is_a_fault(monkeypatch):
    assert [one.verdict for one in check_library(OPEN_MPI)] == ["ok"]
    monkeypatch.setattr(library, "LOOK", "raise ImportError('libmpi.so.40: cannot open')")
    (finding,) = check_library(library.loaded())
    assert finding.verdict == "fault"
    assert "ImportError: libmpi.so.40" in finding.seen


# --- products, links, disk ---


def test_a_slow_rank_and_a_low_precision_are_faults():
    fine = Measured(50, 3e-7, True)
    (finding,) = check_products(seen(), [fine, fine])
    assert finding.verdict == "ok"
    assert "do not depend on the rows beside" in finding.seen
    (finding,) = check_products(seen({}, {"host": "b"}), [fine, Measured(20, 3e-7, False)])
    assert (finding.name, finding.verdict) == ("slow host", "fault")
    assert "rank 1 on b computes 20 GFLOP/s, the fastest 50" in finding.seen
    for error in (2e-3, float("nan")):
        (finding,) = check_products(seen(number=1), [fine._replace(error=error)])
        assert (finding.name, finding.verdict) == ("precision", "fault")


def test_products_of_this_machine_are_measured(monkeypatch):
    monkeypatch.setattr(products, "SECONDS", 0.02)
    found = measure("numpy")
    assert 0 < found.error < products.MOST_ERROR
    assert found.gflops > 0.1


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 7])
def test_every_host_of_a_ring_is_measured_with_both_neighbours_and_with_one_at_a_time(number):
    leaders = [3 * place for place in range(number)]
    pairs = [pair for pairs in rounds(leaders) for pair in pairs]
    ring = (
        {frozenset((leaders[place], leaders[(place + 1) % number])) for place in range(number)} if number > 1 else set()
    )
    assert {frozenset(pair) for pair in pairs} == ring
    assert len(pairs) == len(ring)
    for together in rounds(leaders):
        ends = [rank for pair in together for rank in pair]
        assert len(set(ends)) == len(ends)


def test_slow_links_are_faults():
    fast, slow = Link(("a", "b"), 3e-5, 110.0), Link(("b", "c"), 3e-4, 11.0)
    assert check_links([]) == []
    assert [one.verdict for one in check_links([fast])] == ["ok"]
    (finding,) = check_links([fast, slow])
    assert finding.verdict == "fault"
    assert finding.seen == "b and c: 300 us, 11 MB/s in both directions at once"


def test_a_disk_is_tried_and_left_as_it_was(tmp_path):
    found = disk.look(tmp_path / "runs/digits")
    assert (found.path, found.why, found.locks, found.renames) == (str(tmp_path), "", True, True)
    assert found.free > 0
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    assert disk.look(tmp_path / "file/run").why == "Not a directory"


@pytest.mark.parametrize(
    ("change", "verdict", "part"),
    [
        ({}, "ok", "/r: locks, renames, 20 ms to the disk, 3.0 GiB free"),
        ({"why": "Read-only file system"}, "fault", "/r cannot be written: Read-only file system"),
        ({"locks": False}, "fault", "/r has no locks"),
        ({"renames": False}, "fault", "half written"),
        ({"sync_s": 3.0}, "warning", "takes 3.0 s to get to the disk"),
    ],
)
def test_what_a_disk_cannot_do_is_told(change, verdict, part):
    (finding,) = check_disk(Disk("/r", sync_s=0.02, free=3 * GIB)._replace(**change))
    assert finding.verdict == verdict
    assert part in finding.seen


# --- findings ---


def test_the_worst_verdict_counts():
    one, two, three = ok("a", "x"), warning("b", "y", "z"), fault("c", "y", "z")
    assert [worst(found) for found in ([], [one], [one, two], [two, three, one])] == ["ok", "ok", "warning", "fault"]
    assert json.loads(json.dumps(three.record())) == {"name": "c", "verdict": "fault", "seen": "y", "fix": "z"}


def test_a_table_fits_its_terminal_and_loses_no_word():
    found = [
        Finding("run directory", "fault", "/a/b/c is not shared " * 9, "choose another " * 9),
        ok("ranks", "1 rank"),
    ]
    for columns in (60, 80, 100):
        text = table(found, columns)
        assert max(map(len, text.splitlines())) <= columns
        assert text.split().count("shared") == 9
        assert text.endswith("\n1 fault")
    assert table([ok("ranks", "1 rank")], 80).endswith("all is well")
    assert table([warning("a", "b", "c"), warning("a", "b", "c")], 80).endswith("2 warnings")
    assert links.SLOW_MB < 118  # What 1 Gbit/s carries is in order.
