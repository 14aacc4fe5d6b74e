"""File systems that lack something, or take long: faked in every Python process of a command, the writer included."""

from __future__ import annotations

import os
from pathlib import Path

SITE = """
import errno, os, stat, time
LACKS, SECONDS = os.environ["DPNET_TEST_LACKS"].split(), float(os.environ["DPNET_TEST_FSYNC_S"])
fsync = os.fsync

def no_link(*arguments, **named):
    raise OSError(errno.EPERM, "Operation not permitted")

def faked(handle):
    if "directory-fsync" in LACKS or "fsync" in LACKS:
        if "fsync" in LACKS or stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
    time.sleep(SECONDS)
    fsync(handle)

os.fsync = faked
if "links" in LACKS:
    os.symlink = no_link
"""


def faked(folder: Path, *lacks: str, fsync_s: float = 0.0) -> dict[str, str]:
    """The environment of processes to which every file system seems to be so.

    Args:
        folder: of the test.
        lacks: "links" (symbolic), "directory-fsync", "fsync".
        fsync_s: seconds that an fsync takes.
    """
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "DPNET_TEST_LACKS": " ".join(lacks), "DPNET_TEST_FSYNC_S": str(fsync_s)}
