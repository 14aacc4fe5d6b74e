"""Where ranks go in a batch job: its allocation as options and variables of the program that starts them.

The options name every host with its number of ranks: what mpirun makes of an allocation by itself depends on its
vendor, its version, and variables of the site, and may be all ranks on the first host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dpnet.allocation import SLURM, Allocation
from dpnet.compute.threads import CPUS_PER_TASK, VARIABLES, threads_from_user
from dpnet.environment import ANY, HOSTS, THREADS
from dpnet.errors import ConfigError
from dpnet.launch.hosts import listed
from dpnet.launch.options import RANKS, names, names_hosts, num_ranks
from dpnet.text import counted
from dpnet.text import listed as named

OPEN_MPI, HYDRA, INTEL, SRUN = "Open MPI", "MPICH", "Intel MPI", "srun"
"""Programs that start ranks: the mpirun of each MPI, and Slurm's own."""
TASKS_PER_NODE = "SLURM_TASKS_PER_NODE"
AGENT = Path(__file__).with_name("agent.sh")
_EXPORTED = (HOSTS, THREADS, CPUS_PER_TASK, *VARIABLES)


class Place(NamedTuple):
    """A batch job, and what starts ranks in it: OPEN_MPI, HYDRA, INTEL or SRUN."""

    job: Allocation
    starter: str


def spread(ranks: int, tasks: Mapping[str, int]) -> dict[str, int]:
    """So many ranks by host: on each as many as the job has tasks there; fewer or more ranks are dealt out evenly.

    Raises:
        ConfigError: there are fewer ranks than hosts.
    """
    if ranks == sum(tasks.values()):
        return dict(tasks)
    if ranks < len(tasks):
        idle, all_ranks = list(tasks)[ranks:], counted(sum(tasks.values()), "rank")
        raise ConfigError(
            f"-n {ranks} leaves {counted(len(idle), 'host')} of this job without a rank ({named(idle)}): leave out -n "
            f"for {all_ranks}, ask for fewer hosts, or name those to use (--host {next(iter(tasks))})"
        )
    dealt = dict.fromkeys(tasks, 0)
    while ranks:
        # Where all are full there are more ranks than tasks, and every host takes one more.
        free = [host for host in tasks if dealt[host] < tasks[host]] or list(tasks)
        for host in free[:ranks]:
            dealt[host] += 1
        ranks -= len(free[:ranks])
    return dealt


def placed(options: Sequence[str], place: Place) -> list[str]:
    """The options of the program that starts ranks, with all hosts of a batch job among them.

    Options that name hosts are the user's own choice, and stay as they are.

    Args:
        options: of the user, perhaps without a number of ranks.
        place: where they go.

    Raises:
        ConfigError: see `spread`.
    """
    job, starter = place
    if names_hosts(options) or (starter == SRUN and names(options) & {"w", "nodelist", "N", "nodes"}):
        return list(options)
    ranks = num_ranks(options)
    dealt = spread(ranks or sum(job.tasks.values()), job.tasks)
    result = list(options) if ranks else [RANKS[0], str(sum(dealt.values())), *options]
    if starter == SRUN:
        cpus = ["--cpus-per-task", str(job.cpus_per_task)] if job.cpus_per_task else []
        return ["--nodes", str(len(dealt)), *cpus, *result]
    if starter == INTEL:  # Its list has no numbers.
        return ["-hosts", ",".join(dealt), "-ppn", str(max(dealt.values())), *result]
    return ["--host" if starter == OPEN_MPI else "-hosts", ",".join(f"{host}:{dealt[host]}" for host in dealt), *result]


def variables(options: Sequence[str], place: Place) -> dict[str, str]:
    """Variables for ranks that are started with these options: the hosts to expect, and the cores of each.

    And, for Open MPI, the room on each host: it takes no more ranks than the job has tasks there.
    """
    (job, starter), hosts = place, listed(options)
    found = {} if starter in (SRUN, INTEL) and not hosts else {HOSTS: ",".join(host.name for host in hosts) or ANY}
    if job.cpus_per_task:
        found[CPUS_PER_TASK] = str(job.cpus_per_task)
        if not threads_from_user():
            found |= dict.fromkeys((*VARIABLES, THREADS), str(job.cpus_per_task))
    if starter == OPEN_MPI and job.scheduler == SLURM:
        slots = {host.name: host.slots or 1 for host in hosts}
        found[TASKS_PER_NODE] = ",".join(str(slots.get(host, 1)) for host in job.tasks)
    return found


def flags(options: Sequence[str], place: Place, environ: Mapping[str, str]) -> list[str]:
    """Flags of Open MPI's mpirun in a batch job; others need none.

    The variables get to every host. And its daemons outlive SIGUSR1: `scancel --signal=USR1` sends it to them as well,
    they would die of it, and mpirun would return 0 without having told any rank.
    """
    if place.starter != OPEN_MPI:
        return []
    found = [word for name in _EXPORTED if name in environ for word in ("-x", name)]
    if (
        place.job.scheduler == SLURM
        and not names(options) & {"prte_launch_agent", "launch-agent"}
        and " " not in str(AGENT)
    ):
        found += ["--prtemca", "prte_launch_agent", f"sh {AGENT} prted"]
    return found
