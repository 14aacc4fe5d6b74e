"""How a rank has spent its time, and what its machine was doing meanwhile: numbers that all ranks exchange."""

from __future__ import annotations

import time
from typing import NamedTuple

from dpnet import whereabouts
from dpnet.compute.cores.quota import throttled_s
from dpnet.compute.cores.usage import CoreTime, core_times, lack, used_s
from dpnet.whereabouts import HERE

COMPUTING = (whereabouts.FORWARD, whereabouts.BACKWARD, whereabouts.UPDATE)


class Spent(NamedTuple):
    """Seconds, since some earlier time.

    Attributes:
        elapsed: on the clock.
        outside: outside of steps, waiting included: evaluations, checkpoints, reports.
        waited: for other ranks, in steps.
        lacked: the main thread was ready to run and had no core.
        all_lacked: so were all threads of the process together.
        data: with samples.
        computing: with forward, backward and update.
        used: of processor time, by this process and its helpers.
        helped: of processor time, by its helpers alone, such as the writer of checkpoints.
        busy: with anything, all cores of this machine that its ranks may use together. This and what follows is 0 on
            all ranks of a machine but its first.
        idle: with nothing, the same cores.
        stolen: from these cores, by the host of a virtual machine.
        throttled: for which CPU quotas stopped the ranks, summed over cores.
    """

    elapsed: float = 0.0
    outside: float = 0.0
    waited: float = 0.0
    lacked: float = 0.0
    all_lacked: float = 0.0
    data: float = 0.0
    computing: float = 0.0
    used: float = 0.0
    helped: float = 0.0
    busy: float = 0.0
    idle: float = 0.0
    stolen: float = 0.0
    throttled: float = 0.0

    def since(self, before: Spent) -> Spent:
        """The seconds from an earlier reading to this one."""
        # A thread that has ended takes what it lacked with it.
        return Spent(*(max(0.0, now - then) for now, then in zip(self, before, strict=True)))

    @property
    def working(self) -> float:
        """In steps, not waiting for other ranks; with or without a core."""
        return max(0.0, self.elapsed - self.outside - self.waited)


def spent_so_far(cores: frozenset[int]) -> Spent:
    """A reading of this process.

    Args:
        cores: of this machine, those that its ranks may use; empty: leave them to another rank of the machine.
    """
    elapsed, seconds, thread_s = time.monotonic(), HERE.seconds, time.thread_time()
    # Where the system does not tell, whatever the main thread did not compute counts as lack: rather blame nobody.
    lacked, all_lacked = lack() or (elapsed - thread_s, elapsed - thread_s)
    alone, used = used_s(), used_s(HERE.helpers)
    times = [each for core, each in (core_times() if cores else {}).items() if core in cores]
    machine = CoreTime(*map(sum, zip(*times, strict=True))) if times else CoreTime()
    return Spent(
        elapsed=elapsed,
        outside=sum(seconds[whereabouts.COMMIT + 1 :]) + seconds[whereabouts.START],
        waited=HERE.waited - HERE.waited_outside,
        lacked=lacked,
        all_lacked=all_lacked,
        data=seconds[whereabouts.DATA],
        computing=sum(seconds[phase] for phase in COMPUTING),
        used=used,
        helped=used - alone,
        busy=machine.busy,
        idle=machine.idle,
        stolen=machine.stolen,
        throttled=throttled_s() if cores else 0.0,
    )
