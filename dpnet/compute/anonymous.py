"""Memory without a name, for several processes to map.

It lives as long as a process has it open or mapped, so nothing is left behind, whichever process dies, and when.
"""

from __future__ import annotations

import os

FOLDER = "/dev/shm"
"""Where files lie in memory."""


def anonymous_file(num_bytes: int) -> int:
    """A new file in memory without a name, of zeros.

    Its pages are all allocated at once. If there were too few later, a process that writes to a mapping would be killed
    by SIGBUS, without a message.

    Returns:
        its descriptor, which the caller closes.

    Raises:
        OSError: there is no room for it, or this system makes no such files.
    """
    try:
        handle = os.memfd_create("dpnet")  # Unlike /dev/shm it has no limit of its own: in containers that is 64 MB.
    except (OSError, AttributeError):  # Refused, as a container may do; or a system that has none.
        handle = os.open(FOLDER, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(handle, 0, num_bytes)
    except OSError:
        os.close(handle)
        raise
    return handle
