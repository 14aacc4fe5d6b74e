"""The programs that train the reference workloads; each prints its samples per second."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import WORKLOADS
from dpnet.compute.threads import VARIABLES
from dpnet.launch.flags import find_mpirun, flavour_flags

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 300


@dataclass(frozen=True)
class Contestant:
    """A program that trains a workload.

    Attributes:
        name: for tables.
        module: in benchmarks.peers.
        needs: the package that it measures.
        ranks: number of processes.
        threads: of each process.
        batch_ranks: the batch of a step is that of so many ranks.
        shards: reproducible_shards of dpnet.
    """

    name: str
    module: str
    needs: str
    ranks: int
    threads: int
    batch_ranks: int = 2
    shards: int = 0

    @property
    def missing(self) -> str | None:
        """Why it cannot run here; None if it can."""
        return None if importlib.util.find_spec(self.needs) else f"{self.needs} is not installed"

    def samples_per_s(self, workload: str, optimizer: str, seconds: float) -> float:
        """Run the program once.

        Raises:
            RuntimeError: it failed.
            subprocess.TimeoutExpired: it took longer than TIMEOUT_S.
        """
        batch = WORKLOADS[workload].rows * self.batch_ranks
        command = [
            *(self._mpirun() if self.needs == "dpnet" and self.ranks > 1 else []),
            *(sys.executable, "-m", f"benchmarks.peers.{self.module}", workload),
            *("--optimizer", optimizer, "--batch", str(batch), "--seconds", str(seconds)),
            *("--ranks", str(self.ranks), "--threads", str(self.threads), "--shards", str(self.shards)),
        ]
        # JAX and scikit-learn set the threads of their libraries themselves.
        environ = {**os.environ, **dict.fromkeys(VARIABLES, str(self.threads)), "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        try:
            return float(result.stdout.split()[-1])
        except (IndexError, ValueError):
            raise RuntimeError(f"{self.name} failed with {result.returncode}: {result.stderr[-2000:]}") from None

    def _mpirun(self) -> list[str]:
        options = ["-n", str(self.ranks)]
        mpirun = find_mpirun()
        return [mpirun, *flavour_flags(mpirun, options, threads=self.threads), *options]


DPNET = [
    Contestant("dpnet 2x1", "dpnet_train", "dpnet", 2, 1),
    Contestant("dpnet 1x2", "dpnet_train", "dpnet", 1, 2),
    Contestant("dpnet 1x1", "dpnet_train", "dpnet", 1, 1),
]
"""dpnet on two cores, named by ranks x threads; all with the same global batch."""
PEERS = [
    Contestant("PyTorch DDP 2x1", "torch_ddp", "torch", 2, 1),
    Contestant("PyTorch 1x2", "torch_ddp", "torch", 1, 2),
    Contestant("JAX 1x2", "jax_jit", "jax", 1, 2),
    Contestant("scikit-learn 1x2", "sklearn_mlp", "sklearn", 1, 2),
]
WEAK = Contestant("dpnet 1x1, half batch", "dpnet_train", "dpnet", 1, 1, batch_ranks=1)
REPRODUCIBLE = Contestant("dpnet 2x1, reproducible_shards 2", "dpnet_train", "dpnet", 2, 1, shards=2)
