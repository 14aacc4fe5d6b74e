"""Threads of the matrix products: what the user sets holds, and reproducible mode has one."""

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dpnet.compute import threads
from dpnet.compute.fingerprint import fingerprint
from dpnet.compute.threads import VARIABLES, choose_threads, limit_threads, preset_threads, threads_from_user, worth
from dpnet.environment import THREADS, Launched


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch):
    for name in (*VARIABLES, "OPENBLAS_THREAD_TIMEOUT"):
        monkeypatch.setenv(name, "")  # Whatever a test sets, monkeypatch restores.
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "available_cores", lambda core_sets=(): len(frozenset().union(*core_sets)) or 12)
    threads_from_user.cache_clear()
    yield
    threads_from_user.cache_clear()


@pytest.mark.parametrize(
    ("setting", "reproducible", "local_world_size", "expected"),
    [
        (0, False, 1, 12),
        (0, False, 5, 2),
        (0, False, 13, 1),
        (0, True, 1, 1),
        (3, False, 5, 3),
        (3, True, 5, 3),
    ],
)
def test_the_cores_are_shared_out_unless_something_is_set(setting, reproducible, local_world_size, expected):
    assert choose_threads(setting, reproducible=reproducible, local_world_size=local_world_size) == expected


@pytest.mark.parametrize(("core_sets", "expected"), [([{0, 1, 2, 3}] * 2, 2), ([{0, 1, 2, 3}, {4, 5, 6, 7}], 4)])
def test_cores_that_a_launcher_has_shared_out_are_not_shared_out_again(core_sets, expected):
    assert choose_threads(0, reproducible=False, local_world_size=2, core_sets=map(frozenset, core_sets)) == expected


def test_a_rank_has_no_more_threads_than_a_job_of_slurm_has_asked_for_it(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    assert choose_threads(0, reproducible=False, local_world_size=1) == 2
    assert choose_threads(0, reproducible=False, local_world_size=12) == 1
    preset_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("ranks", "threads_of_each", "text"),
    [
        (2, 1, ""),
        (1, 2, ""),
        (64, 1, "64 ranks for only 2 cores: 2 ranks are faster, with the same result"),
        (3, 2, "3 ranks of 2 threads for only 2 cores: 1 rank is faster, with the same result"),
        (2, 2, "2 ranks of 2 threads for only 2 cores: fewer threads are faster"),
        (1, 3, "1 rank of 3 threads for only 2 cores: fewer threads are faster"),
    ],
)
def test_more_ranks_or_threads_than_cores_are_told_with_what_is_faster(monkeypatch, ranks, threads_of_each, text):
    monkeypatch.setattr(threads, "cores_text", lambda core_sets: "2 cores")
    asked = ranks, threads_of_each, [frozenset({0}), frozenset({1})]  # Each rank is bound to a core of its own.
    told = threads.too_many(*asked)
    assert told + (f": {threads.what_is_faster(*asked)}" if told else "") == text


def test_a_variable_of_the_user_wins_over_the_share_but_not_over_the_job(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    assert choose_threads(0, reproducible=False, local_world_size=4) == 7
    assert choose_threads(3, reproducible=False, local_world_size=4) == 3
    assert choose_threads(0, reproducible=True, local_world_size=4) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["", "", ""], 0),
        (["4", "", "2"], 2),
        (["4,2", "", ""], 4),
        ([" 3 ", "x", "-1"], 3),
        (["0", "\N{SUPERSCRIPT TWO}", "1.5"], 0),
    ],
)
def test_the_smallest_number_of_the_environment_counts(monkeypatch, values, expected):
    for name, value in zip(VARIABLES, values, strict=False):
        monkeypatch.setenv(name, value)
    assert threads_from_user() == expected


def test_what_launch_has_set_is_not_taken_for_the_users(monkeypatch):
    monkeypatch.setenv(THREADS, "4")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_from_user() == 0
    threads_from_user.cache_clear()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")  # By a program that launch has started.
    assert threads_from_user() == 2


@pytest.mark.parametrize(
    ("rows", "widths", "expected"),
    [
        (64, (64, 256, 128, 10), 1),
        (64, (784, 128, 10), 1),
        (128, (784, 512, 256, 10), 5),
        (32, (784, 512, 256, 10), 1),  # The same batch on four ranks.
        (256, (784, 2048, 2048, 10), 12),
        (1, (1, 1), 1),
    ],
)
def test_a_thread_has_a_share_of_the_largest_product_that_is_worth_waiting_for(rows, widths, expected):
    assert worth(12, rows, widths) == expected


def test_variables_are_set_before_numpy_is_imported(monkeypatch):
    monkeypatch.setattr(threads, "launched", lambda: Launched(0, 8, 4, ""))
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # Restored by monkeypatch afterwards.
    preset_threads()
    assert {name: os.environ[name] for name in VARIABLES} == dict.fromkeys(VARIABLES, "3")
    # What dpnet has set does not count as set by the user.
    assert choose_threads(0, reproducible=False, local_world_size=2) == 6


def test_variables_of_the_user_are_left_alone(monkeypatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "20")
    before = dict(os.environ)
    preset_threads()
    assert dict(os.environ) == before


def test_the_limit_holds_for_the_library_in_use():
    with threadpool_limits():  # Restores them.
        limit_threads(1)
        # Every library that there is, and there is one: numpy\'s.
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {1}
        assert {library["num_threads"] for library in fingerprint("numpy")["blas"]} == {1}


def test_importing_it_imports_no_numpy():
    code = "import sys, dpnet.compute.threads; dpnet.compute.threads.preset_threads(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("cores", "told"),
    [
        ([{0}, {1}, {2}], ""),
        ([{0, 1, 2}] * 3, ""),
        ([{0}, {0}], ""),  # These are more ranks than cores.
        ([{0}, {0}, {1, 2, 3}], "2 ranks are bound to 1 core (0), while other ranks have more: mpirun --bind-to none"),
        ([{4, 5}, {4, 5}, {5}, {0, 1, 2}], "3 ranks are bound to 2 cores (4, 5), while"),
    ],
)
def test_ranks_that_are_bound_to_one_core_beside_free_ones_are_told(cores, told):
    text = threads.bound_together([frozenset(each) for each in cores])
    assert text.startswith(told)
    assert bool(text) == bool(told)
