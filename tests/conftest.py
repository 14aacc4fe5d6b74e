"""Hooks and fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.fuzzing import collector_off
from helpers.night import NIGHT
from hypothesis import settings


def pytest_configure() -> None:
    # A script's background processes ignore SIGINT, and so would every process that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A test may take long because the machine is busy. Whoever wants fewer examples says so at the test.
    settings.register_profile("dpnet", deadline=None)
    settings.load_profile("dpnet")
    if not NIGHT:
        _save_time()


def _save_time() -> None:
    """What costs much time and finds something rarely is left to the night."""
    # Open MPI looks for fabrics for a second at each start; ranks on one machine need none.
    os.environ.setdefault("OMPI_MCA_btl", "^ofi")
    # Beside other programs, the threads of a small product wait for one another. Read when numpy is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # In this process alone. Only where the power fails does it make a difference, which no test brings about.
    os.fsync = lambda handle: None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # These tests run under mpirun, started by test_mpi.py.
    if collection_path == Path(__file__).parent / "mpi" and not config.getoption("--with-mpi"):
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [] if NIGHT else [item for item in items if item.get_closest_marker("night")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture
def mnist() -> str:
    """Folder of the real MNIST; skips the test where it is absent."""
    folder = Path(os.environ.get("DPNET_DATA", "../shared/data")) / "mnist"
    if not folder.is_dir():
        pytest.skip(f"no MNIST in {folder}; set DPNET_DATA to a folder that holds mnist/")
    return str(folder.resolve())


@pytest.fixture
def no_collector() -> Iterator[None]:
    """No garbage is collected within the test: for tests of what is nested too deeply."""
    with collector_off():
        yield
