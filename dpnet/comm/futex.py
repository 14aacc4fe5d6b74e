"""Sleep in the kernel until another process stores to a word of shared memory: Linux's futex.

It is a system call, reached through ctypes: Python has nothing like it between processes, and every installation has
ctypes. Where there is no futex, `wait` naps instead, and a sleeper finds out by itself.

To wake is a system call as well, even where nobody sleeps. So who goes to sleep stores before that he does, and who
wakes looks there first. Each then needs a memory barrier between its store and its look at the other's word, or both
may miss the other's store. Linux's membarrier makes it for all processes at once: only who goes to sleep pays for it.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
import time
from typing import Any

NUMBERS = {
    "x86_64": (202, 324),
    "aarch64": (98, 283),
    "riscv64": (98, 283),
    "loongarch64": (98, 283),
    "ppc64le": (221, 365),
    "s390x": (238, 356),
}
"""The numbers of the system calls futex and membarrier, by machine; of 64-bit programs."""
IN_ORDER = {"x86_64", "AMD64", "s390x"}
"""Machines on which other cores see the stores of a core in their order, and a core loads in the order of the program:
on these a word that was stored after some data tells that the data are there, without any barrier."""
WAIT, WAKE, ALL = map(ctypes.c_int, (0, 1, 2**31 - 1))
GLOBAL_EXPEDITED, REGISTER, NO_FLAGS = map(ctypes.c_int, (1 << 1, 1 << 2, 0))
NAP_S = 0.0005


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _system_calls() -> tuple[Any, ctypes.c_long, ctypes.c_long]:
    numbers = NUMBERS.get(platform.machine()) if sys.platform == "linux" and struct.calcsize("P") == 8 else None
    # Arguments are made once, as ctypes objects: declared types would cost more in each call than the call itself.
    futex, membarrier = map(ctypes.c_long, numbers or (0, 0))
    return ctypes.CDLL(None).syscall if numbers else None, futex, membarrier


_CALL, _FUTEX, _MEMBARRIER = _system_calls()


def join_barriers() -> bool:
    """Let `barrier_everywhere` of other processes reach this one. Whether the system can (Linux from 4.16 on can)."""
    return _CALL is not None and _CALL(_MEMBARRIER, REGISTER, NO_FLAGS) == 0


def barrier_everywhere() -> None:
    """A full memory barrier in all threads of all processes that have joined, at some moment during this call."""
    if _CALL is not None:
        _CALL(_MEMBARRIER, GLOBAL_EXPEDITED, NO_FLAGS)


class Futex:
    """A word that processes can sleep on.

    Args:
        word: (1,) int32, C-contiguous, in memory that the processes share.
    """

    def __init__(self, word: memoryview[int]) -> None:
        self._memory = word  # Mapped for as long as its address is used.
        self._address = ctypes.c_void_p(ctypes.addressof(ctypes.c_int32.from_buffer(word)))

    def wake(self) -> None:
        """Wake all who sleep on the word.

        The call is a full memory barrier, also where nobody sleeps: the kernel has one between the caller's stores and
        its own look for sleepers, and another between a sleeper's stores and its look at the word. So who goes to sleep
        sees the new word, or is woken.
        """
        if _CALL is not None:
            _CALL(_FUTEX, self._address, WAKE, ALL)

    def wait(self, expected: int, timeout_s: float) -> None:
        """Sleep while the word has the value `expected`: until woken, until a signal, at most for about `timeout_s`."""
        if _CALL is None:
            time.sleep(min(NAP_S, timeout_s))
            return
        limit = _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
        _CALL(_FUTEX, self._address, WAIT, ctypes.c_int(expected), ctypes.byref(limit))
