"""The `dpnet` command; also `python -m dpnet`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    _open_standard_streams()
    if sys.argv[1:2] in (["launch"], ["train"]):
        from dpnet.resilience.signals import hold_back

        hold_back()
    from dpnet.cli.limits import warn_of_limit
    from dpnet.cli.main import run
    from dpnet.compute.threads import preset_threads

    if sys.argv[1:2] != ["launch"]:  # The ranks that it starts do this for themselves.
        warn_of_limit()
        # Before anything imports numpy: a BLAS library starts its threads when it is loaded.
        preset_threads()

    sys.exit(run(sys.argv[1:]))


def _open_standard_streams() -> None:
    """Open what the shell has closed (`>&-`), for this process and for those that it starts.

    Otherwise the next file that is opened, such as a checkpoint, would take its place: a C library prints into it, and
    MPICH's mpirun does not start.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


if __name__ == "__main__":
    main()
