"""Runs the tests in tests/mpi on several numbers of ranks, so that `pytest` alone runs everything."""

import sys
from pathlib import Path

import pytest
from helpers.faults import wait_for
from helpers.mpirun import mpirun, run_ranks, start

pytestmark = pytest.mark.ranks
FOLDER = Path(__file__).parent / "mpi"
PYTEST = ["-m", "pytest", "--with-mpi", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
PYTEST += ["--timeout=240", "--timeout-method=thread"]


@pytest.mark.parametrize("num_ranks", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 4))])
def test_on_ranks(num_ranks):
    result = run_ranks(num_ranks, [*PYTEST, str(FOLDER)], timeout_s=150)
    if result.code != 0 or " passed" not in result.ranks[0]:
        pytest.fail(str(result), pytrace=False)


def test_a_rank_that_waits_for_ever_is_ended(tmp_path):
    script = tmp_path / "wait.py"
    script.write_text(
        "from dpnet.comm.connect import connect\n"
        "group = connect()\n"
        "print('before', flush=True)\n"
        "if group.rank == 0: group.barrier()\n"
        "import time; time.sleep(1000)\n"
    )
    job = start([*mpirun(2), sys.executable, str(script)])
    try:
        assert wait_for(lambda: job.read().count("before") == 2), job.read()
        assert job.wait(0.1) is None
    finally:
        job.close()
    assert not job.pids()
