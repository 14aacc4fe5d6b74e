"""The `dpnet` command; also `python -m dpnet`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from dpnet.cli.main import run
    from dpnet.compute.threads import preset_threads

    if sys.argv[1:2] != ["launch"]:  # The ranks that it starts do this for themselves.
        # Before anything imports numpy: a BLAS library starts its threads when it is loaded.
        preset_threads()

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
