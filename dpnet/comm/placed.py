"""Whether ranks run on all hosts of the batch job, and on no others.

A rank that was started alone in a job of two hosts would train for as long as it takes, beside an idle host; and so
would all ranks if mpirun packs them on the first host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from dpnet.allocation import allocation, expand
from dpnet.comm.group import Group
from dpnet.environment import ANY, HOSTS, launched
from dpnet.errors import ConfigError
from dpnet.text import counted, listed


def check_hosts(group: Group, environ: Mapping[str, str] = os.environ) -> str:
    """Compare the hosts of all ranks with those that they are to run on; collective.

    Returns:
        note: what is unusual, and may be meant; empty: nothing is.

    Raises:
        ConfigError: on all ranks: a host is idle, or ranks run on others.
    """
    seen = group.allgather((group.host, expected_hosts(environ), _of_job(environ)))
    expected = next((names for _, names, _ in seen if names), [])
    hosts = list(dict.fromkeys(host for host, _, _ in seen))
    if why := misplaced(expected, hosts):
        raise ConfigError(why, agreed=True)
    of_job = next((names for _, _, names in seen if names), [])
    if HOSTS not in environ and 0 < len(expected) < len(of_job):
        return f"this step of the job has {counted(len(expected), 'host')} of {len(of_job)}"
    return ""


def expected_hosts(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The hosts that ranks are to run on; empty: any, or this process does not know."""
    if HOSTS in environ:
        return [] if environ[HOSTS] == ANY else environ[HOSTS].split(",")
    if _by_srun(environ):
        return expand(environ["SLURM_STEP_NODELIST"])  # Whoever types srun -N 1 in a job of two hosts means it.
    return _of_job(environ)


def misplaced(expected: Sequence[str], hosts: Sequence[str]) -> str:
    """Why ranks on these hosts are not where they are to be, and what to do; empty: they are, or nobody can tell.

    A scheduler may have names of its own for hosts: if none of the hosts is expected, the names say nothing.
    """
    wanted, found = ({name.partition(".")[0]: name for name in names} for names in (expected, hosts))
    if not wanted.keys() & found.keys() or wanted.keys() == found.keys():
        return ""
    idle = [name for short, name in wanted.items() if short not in found]
    others = [name for short, name in found.items() if short not in wanted]
    what = [f"no rank runs on {listed(idle)}"] * bool(idle)
    what += [f"ranks run on {listed(others)}, which {'is' if len(others) == 1 else 'are'} not among them"] * bool(
        others
    )
    return (
        f"this job has the hosts {listed(expected)}, and {' and '.join(what)}. Start it with `dpnet launch -- train "
        f"...`, which places ranks on all of them, or ask for as many hosts as you need; if it is meant so, set "
        f"{HOSTS}={ANY}"
    )


def _by_srun(environ: Mapping[str, str]) -> bool:
    """Whether srun has started this rank itself, and no mpirun that srun has helped to other hosts."""
    family = launched(environ).size_name.partition("_")[0]
    return "SLURM_STEP_NODELIST" in environ and (
        family == "SLURM" or (family == "PMI" and "MPI_LOCALNRANKS" not in environ)
    )


def _of_job(environ: Mapping[str, str]) -> list[str]:
    if environ.get("SLURM_JOB_NODELIST"):
        return expand(environ["SLURM_JOB_NODELIST"])
    try:
        found = allocation(environ)
    except ConfigError:
        return []  # `dpnet launch` says so.
    return list(found.tasks) if found else []
