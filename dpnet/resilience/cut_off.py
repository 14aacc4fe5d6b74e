"""After a loss: whether the other ranks, taken for lost, go on without this part of the job.

Ranks that are cut off from the others by the network take those for lost, and are taken for lost by them. Both parts go
on in the same run directory. There, one part sees what the other has written meanwhile, and ends.
"""

from __future__ import annotations

from pathlib import Path

from dpnet.errors import OutputError


def check_not_cut_off(written: int, step: int, *, host: str, folder: Path) -> None:
    """Raise if somebody else has trained on in the run directory.

    Args:
        written: last step that is recorded there.
        step: from which this part of the job goes on.
        host: name of this node.
        folder: the run directory.

    Raises:
        OutputError: more was written than a rank can have written before it was lost: one step.
    """
    if written > step + 1:
        raise OutputError(
            f"the other ranks went on without {host}, in {folder} up to step {written:,}: it was "
            "cut off from the network"
        )
