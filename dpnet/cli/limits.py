"""Memory that does not suffice, told in a sentence."""

from __future__ import annotations

import resource

from dpnet.environment import launched
from dpnet.text import complain

LEAST_BYTES = 2 << 30
"""With less, libraries that dpnet needs may not be loaded, or may end the process: MKL takes 1 GiB of addresses."""


def warn_of_limit() -> None:
    """Rank 0 prints a note where `ulimit -v` is so low that a library may end this process without naming the cause."""
    if launched().rank == 0 and (limit := _limit()) and limit < LEAST_BYTES:
        text = f"{_allowed(limit)}; libraries may need more, and end it without naming the cause: ulimit -v unlimited"
        complain(f"note: {text}")


def memory_ran_out(error: MemoryError) -> str:
    """What to tell of an allocation that failed."""
    said = f" ({error})" if str(error) else ""
    limit = _limit()
    allowed = f"; {_allowed(limit)}" if limit else ""
    return f"memory ran out{said}{allowed}; take a smaller network or batch, fewer ranks on a host, or more memory"


def _limit() -> int | None:
    """Bytes of addresses that this process may have; None: there is no limit."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _allowed(limit: int) -> str:
    return f"ulimit -v allows this process {limit / 2**30:.2g} GiB of memory"
