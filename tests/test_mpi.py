"""Runs the tests in tests/mpi on several numbers of ranks, so that `pytest` alone runs everything."""

from pathlib import Path

import pytest
from helpers.mpirun import run_ranks

pytestmark = pytest.mark.ranks
FOLDER = Path(__file__).parent / "mpi"
PYTEST = ["-m", "pytest", "--with-mpi", "-q", "-p", "no:cacheprovider", "--timeout", "60", "--timeout-method", "thread"]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 4])
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
    result = run_ranks(2, [str(script)], timeout_s=6)
    assert result.code is None
    assert "before" in result.ranks[1]
