"""A real Slurm on hosts of this machine (helpers/hosts.py), for tests: a controller on the head, a slurmd on each node.

All of it lives in one folder: key, configuration, state and logs; nothing is written to /etc. Daemons are started in
the foreground, as children of the test, and end with it. Debian's packages have all that is needed: slurmctld,
slurmd, slurm-client, munge, and libpmix2 for `srun --mpi=pmix`. What stands in CONFIGURATION without a word is Slurm's
manual; each line with a remark was learnt from a failure.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers.hosts import HEAD, Hosts
from helpers.hosts import obstacle as no_hosts
from helpers.patience import PATIENCE

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "scontrol", "scancel")
PMIX = Path(f"/usr/lib/{platform.machine()}-linux-gnu/pmix2/lib/libpmix.so")
CPUS = 8
"""That each node claims to have: more than this machine has cores, perhaps."""
CONFIGURATION = """
ClusterName=test
SlurmctldHost={head}
SlurmctldPort=6817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that was requeued waits for so many seconds before it starts again: 120 by default.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool/%n
# srun --mpi=pmix makes a folder there that has the same name on all nodes.
TmpFS={folder}/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SlurmdPort=6818
SlurmdTimeout=6
SlurmctldTimeout=10
KillWait={kill_wait}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue={requeue}
MailProg=/bin/true
NodeName={nodes} CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={nodes} Default=YES MaxTime=60 State=UP
"""
UNSET = ("SLURM_", "OMPI_", "PMI", "PRTE_", "DPNET_TEST_RUN", "PYTEST_")
"""Beginnings of variables that the daemons, and so all jobs, must not inherit."""


def obstacle() -> str:
    """Why there can be no Slurm here; empty: there can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"there is no {missing[0]} (Debian: slurmctld, slurmd, slurm-client, munge)"
    return no_hosts()


def obstacle_to_pmix() -> str:
    """Why `srun --mpi=pmix` cannot work here; empty: it can, as far as files show."""
    # Slurm's plugin opens the name that only the package for developers has; `.ci/run` makes it.
    return "" if PMIX.exists() else f"there is no {PMIX} (Debian: libpmix2, and a link to libpmix.so.2)"


class Slurm:
    """A cluster; a context.

    Args:
        folder: empty, for all files of the cluster; its path is short.
        hosts: whose nodes it has, all of them.
        requeue: jobs may be requeued, unless they say otherwise.
        kill_wait: seconds from SIGTERM to SIGKILL at the time limit.
    """

    def __init__(self, folder: Path, hosts: Hosts, *, requeue: bool = True, kill_wait: int = 5) -> None:
        self.hosts, self._folder = hosts, folder
        self._conf = folder / "slurm.conf"
        number = len(hosts.names)
        nodes = f"node[1-{number}]" if number > 1 else "node1"
        values = {"head": HEAD, "folder": folder, "nodes": nodes, "cpus": CPUS}
        self._conf.write_text(CONFIGURATION.format(**values, requeue=int(requeue), kill_wait=kill_wait))
        # "autodetect" ends slurmd where /sys/fs/cgroup is not mounted; nothing uses the one that is named.
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        for name in ("state", *(f"{above}/{node}" for above in ("spool", "tmp") for node in hosts.names)):
            (folder / name).mkdir(parents=True)
        self._daemons: list[subprocess.Popen[bytes]] = []
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise

    def _begin(self) -> None:
        key = self._folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {"key-file": key, "socket": self._folder / "munge.socket", "pid-file": self._folder / "munged.pid"}
        files |= {"log-file": self._folder / "munged.log", "seed-file": self._folder / "munged.seed"}
        self._daemon(["munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in files.items())])
        self._wait_until(lambda: (self._folder / "munge.socket").exists(), "munged")
        self._daemon(self.hosts.on(HEAD, ["slurmctld", "-D", "-f", str(self._conf), "-c"]))
        for name in self.hosts.names:
            self.start_node(name)
        self._wait_until(lambda: self._idle() == len(self.hosts.names), "the nodes")

    def __enter__(self) -> Slurm:
        return self

    def __exit__(self, *_: object) -> None:
        if len(self._daemons) > 1 and self._daemons[1].poll() is None:
            self.call("scancel", "--user=root", check=False)
            end = time.monotonic() + 10
            while self.call("squeue", "--noheader", check=False).strip() and time.monotonic() < end:
                time.sleep(0.1)
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()
        for name in (HEAD, *self.hosts.names):
            self.hosts.crash(name)  # Their slurmstepd's outlive them, with all that jobs have left.

    def start_node(self, name: str) -> None:
        """Start the daemon of a node, as when it is switched on."""
        self._daemon(self.hosts.on(name, ["slurmd", "-D", "-f", str(self._conf), "-N", name]))

    def call(self, *command: str, check: bool = True) -> str:
        """Run a command of Slurm on the head; returns its output."""
        done = subprocess.run(
            self.hosts.on(HEAD, command),
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
            check=False,
        )
        assert not (check and done.returncode), f"{command}: {done.stdout}{done.stderr}{self.log()}"
        return done.stdout

    def submit(self, script: Path, *options: str, env: Mapping[str, str] | None = None) -> str:
        """Queue a batch script; returns the number of the job."""
        exported = [f"--export=ALL,{','.join(f'{name}={value}' for name, value in env.items())}"] if env else []
        return self.call("sbatch", "--parsable", *exported, *options, str(script)).strip()

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` says of a job, or of an array's task, by key."""
        return dict(re.findall(r"(\S+?)=(\S*)", self.call("scontrol", "show", "job", number)))

    def wait(self, number: str, timeout_s: float, *states: str) -> str:
        """The state of a job once it is among these, or, without any, once the job has ended."""
        end = time.monotonic() + timeout_s * PATIENCE
        while True:
            job = self.job(number)
            state = job["JobState"]
            if state in states or (not states and state not in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED")):
                return state
            assert time.monotonic() < end, f"job {number}: {job}{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        """The last lines of the controller's log, for messages."""
        path = self._folder / "slurmctld.log"
        return "\n" + path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def _idle(self) -> int:
        return int(self.call("sinfo", "--noheader", "--states=idle", "--format=%D", check=False).strip() or 0)

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(UNSET)}
        return {**kept, "SLURM_CONF": str(self._conf)}

    def _daemon(self, line: Sequence[str]) -> None:
        with open(self._folder / "daemons.log", "ab") as log:
            self._daemons.append(
                subprocess.Popen(
                    line,
                    env=self._environ(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait_until(self, condition: object, what: str) -> None:
        end = time.monotonic() + 20 * PATIENCE
        while not condition():  # type: ignore[operator]
            daemons = (self._folder / "daemons.log").read_text(errors="replace")[-1000:]
            assert time.monotonic() < end, f"{what} did not come up: {daemons}{self.log()}"
            time.sleep(0.05)
