"""The program of each rank of helpers/turns.py: runs one dpnet command after another, until the orders end."""

import json
import os
import sys
from pathlib import Path

from dpnet.environment import launched


def main(folder):
    rank = launched().rank
    with open(folder / f"orders-{rank}") as orders:
        for number, line in enumerate(orders):
            order = json.loads(line)
            code = obey(order)
            done = folder / f"code-{number}-{rank}"
            done.with_suffix(".draft").write_text(str(code))
            done.with_suffix(".draft").replace(done)


def obey(order):
    """Run a command as `dpnet` would, but for the end of the process; returns its exit code."""
    from dpnet.cli.main import run

    output = os.open(order["output"], os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.chdir(order["folder"])
    before = dict(os.environ)
    os.environ.update(order["env"])
    try:
        return run(order["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
